import { execFile, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const run = promisify(execFile);
const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

describe('examples', { timeout: 30_000 }, () => {
  test('stream.mjs digests a stream that passes through', async () => {
    const { stdout } = await run(process.execPath, [path('examples/stream.mjs')]);
    expect(stdout).toMatch(/bytes: 67108864, shards: 64, checksum: '[0-9a-f]{8}'/);
    expect(stdout.match(/^node [abc]: /gm)).toHaveLength(3);
  });

  test('remote.mjs counts on a node that was started by hand', async () => {
    const options = [
      '--listen',
      'tcp://127.0.0.1:0',
      '--handlers',
      path('examples/handlers.mjs'),
      '--json',
    ];
    const node = spawn(process.execPath, [path('dist/cli/main.js'), 'node', ...options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => node.once('close', resolve));
    try {
      const line = await new Promise<Buffer>((resolve, reject) => {
        node.stdout.once('data', resolve);
        node.once('close', (code) => reject(new Error(`the node ended with ${code}`)));
      });
      const { address } = JSON.parse(line.toString());
      const { stdout } = await run(process.execPath, [path('examples/remote.mjs'), address]);
      expect(stdout).toMatch(/^words: [1-9]\d*\n$/);
    } finally {
      node.kill('SIGTERM');
      await ended;
    }
  });
});
