import { execFile, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { NodeProcess } from '../support/node-process.mjs';

const run = promisify(execFile);
const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

describe('examples', { timeout: 30_000 }, () => {
  test('stream.mjs digests a stream that passes through', async () => {
    const { stdout } = await run(process.execPath, [path('examples/stream.mjs')]);
    expect(stdout).toMatch(/bytes: 67108864, shards: 64, checksum: '[0-9a-f]{8}'/);
    expect(stdout.match(/^node [abc]: /gm)).toHaveLength(3);
  });

  test('routes.mjs hears from one node, and from all', async () => {
    const { stdout } = await run(process.execPath, [path('examples/routes.mjs')]);
    expect(stdout).toBe(
      `node b greets Ada\n${['a', 'b', 'c'].map((id) => `node ${id} greets everybody\n`).join('')}`,
    );
  });

  test('routes.mjs hears from nodes behind a hub', async () => {
    const own = ['--handlers', path('examples/handlers.mjs')];
    const a = await NodeProcess.start(['--id', 'a', ...own]);
    onTestFinished(() => a.kill());
    const b = await NodeProcess.start(['--id', 'b', '--hub', a.address, ...own]);
    onTestFinished(() => b.kill());
    const { stdout } = await run(process.execPath, [path('examples/routes.mjs'), a.address]);
    const [first, ...others] = stdout.trim().split('\n');
    expect(first).toBe('node b greets Ada');
    expect(others.sort()).toEqual(['node a greets everybody', 'node b greets everybody']);
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
