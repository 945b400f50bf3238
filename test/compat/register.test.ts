import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

/** Programs that know nothing of us, with `--import paipainet/register` and without. */

const run = promisify(execFile);
const register = new URL('../../dist/drop-in/register.js', import.meta.url).href;

async function outputOf(name: string, args: string[], env = {}): Promise<unknown> {
  const app = fileURLToPath(new URL(`apps/${name}`, import.meta.url));
  const { stdout } = await run(process.execPath, [...args, app], {
    env: { ...process.env, ...env },
  });
  return JSON.parse(stdout);
}

test('what stands on node:net works the same', async () => {
  const plain = (await outputOf('standard.mjs', [])) as { seen: object };
  const moved = await outputOf('standard.mjs', ['--import', register]);
  expect(Object.keys(plain.seen).length).toBeGreaterThan(6);
  expect(moved).toEqual({
    seen: plain.seen,
    carriers: {
      http: 'RawTcpHandle',
      // Its sessions would go through JavaScript otherwise.
      http2: 'TCP',
      beforeTls: 'RawTcpHandle',
      given: 'RawTcpHandle',
    },
  });
  const off = await outputOf('standard.mjs', ['--import', register], { PAIPAINET_REGISTER: 'off' });
  expect(off).toEqual(plain);
});

test('a handler that throws costs what it costs with node:net', async () => {
  const plain = await outputOf('throwing.mjs', []);
  expect(plain).toMatchObject({
    uncaught: [
      'thrown by data',
      'thrown by data',
      'thrown by data',
      'thrown by a tick',
      'thrown by another',
      'read ECONNRESET',
    ],
    others: 'fine',
  });
  expect(await outputOf('throwing.mjs', ['--import', register])).toEqual(plain);
});

test('one call undoes it, and what stands goes on', async () => {
  expect(await outputOf('undone.mjs', [])).toEqual({
    during: 'RawTcpHandle',
    after: 'TCP',
    echoed: 'still here',
    restored: true,
  });
});

test('a socket that keeps nothing alive keeps nothing alive', async () => {
  const plain = await outputOf('unreferenced.mjs', []);
  expect(plain).toEqual({ connected: true });
  expect(await outputOf('unreferenced.mjs', ['--import', register])).toEqual(plain);
});

test('what waits to be sent keeps the process until it has left', async () => {
  const plain = await outputOf('last-words.mjs', []);
  expect(plain).toEqual({ finished: true });
  expect(await outputOf('last-words.mjs', ['--import', register])).toEqual(plain);
});
