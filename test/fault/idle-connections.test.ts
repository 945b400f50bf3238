import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { bound } from '../support/bounds.js';

const program = fileURLToPath(new URL('./idle-connections.mjs', import.meta.url));

test.each([
  ['native', 10_000],
  ['js', 2_000],
])('%s: %d connections that say nothing cost little and harm nobody', async (engine, count) => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(count), engine]);
  const result = JSON.parse(stdout);
  console.log(
    `${engine}: ${result.connections} idle connections, ${result.kibPerConnection.toFixed(1)} KiB each`,
  );
  expect(result.engine).toBe(engine);
  // Fewer where there are fewer descriptors to be had.
  expect(result.connections).toBeGreaterThan(900);
  expect(result.kibPerConnection).toBeLessThan(24);
  expect(result.cpuPercent).toBeLessThan(50);
  expect(result.requestMs).toBeLessThan(bound(1_000));
});
