import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('./passing-stream.mjs', import.meta.url));

test('a stream far longer than the memory passes through the nodes', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, '512']);
  const { bytes, peakMiB } = JSON.parse(stdout);
  expect(bytes).toBe(512 * 1024 * 1024);
  expect(peakMiB).toHaveLength(4);
  for (const mebibytes of peakMiB) expect(mebibytes).toBeLessThan(256);
});
