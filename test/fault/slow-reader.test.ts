import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const program = fileURLToPath(new URL('./slow-reader.mjs', import.meta.url));
const seconds = '2';

/** Short messages are copied into a queue, long ones are referred to. */
const messages = ['64', '100000'] as const;
const paths = [
  ['native', 'tcp', 'tcp'],
  ['native', 'auto', 'shm'],
  ['js', 'tcp', 'tcp'],
] as const;
const settings = paths.flatMap(([engine, asked, path]) =>
  messages.map((messageBytes) => ({ engine, asked, path, messageBytes })),
);

describe('a reader that is stopped nine tenths of the time', () => {
  test.each(settings)(
    'takes of a sender that never rests what the limit allows: $engine over $path, $messageBytes bytes',
    async ({ engine, asked, path, messageBytes }) => {
      const args = ['--expose-gc', program, seconds, engine, asked, messageBytes];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      const result = JSON.parse(stdout);
      expect(result).toMatchObject({ engine, path, count: result.queued, misplacedCount: 0 });
      const { limitMiB, baseMiB, peakMiB, pressure, drain, shed } = result;
      // What is referred to is memory of its own each, which the collector and malloc give back when they like.
      if (messageBytes === '64') expect(peakMiB).toBeLessThanOrEqual((baseMiB + limitMiB) * 1.2);
      expect(pressure).toBeGreaterThan(0);
      expect(drain).toBe(pressure);
      if (messageBytes !== '64') expect(shed).toBeGreaterThan(0);
    },
  );
});
