import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { selectEngine } from '../../../dist/node/select-network.js';
import { whyNoUring } from '../../support/uring.mjs';

const run = promisify(execFile);
const child = fileURLToPath(new URL('io-child.mjs', import.meta.url));
const withoutUring = fileURLToPath(new URL('../../support/without-uring.py', import.meta.url));

const refusal = whyNoUring();
const leftOut = refusal === '' ? '' : ` (left out: ${refusal})`;

/** `wrapper` runs the process that asks for `choices`; the variable is `PAIPAINET_IO`. */
async function ask(
  choices: readonly string[],
  { variable = '', wrapper = [] }: { variable?: string; wrapper?: readonly string[] } = {},
): Promise<unknown> {
  const [command, ...args] = [...wrapper, process.execPath, child, ...choices];
  const { stdout } = await run(command!, args, {
    env: { ...process.env, PAIPAINET_ENGINE: '', PAIPAINET_IO: variable },
  });
  return JSON.parse(stdout);
}

const refused = { code: 'PAIPAI_ERR_ENGINE_UNAVAILABLE' };

describe('what serves the sockets', () => {
  test('is epoll when nobody asks', async () => {
    expect(await ask(['auto'])).toEqual({
      outcomes: ['hello'],
      info: { driver: 'epoll', reason: 'nobody asked for io_uring' },
    });
  });

  test.skipIf(refusal)(
    `is io_uring when the option or the variable asks for it${leftOut}`,
    async () => {
      const io = { driver: 'uring', reason: expect.stringContaining('io_uring works here') };
      expect(await ask(['uring', 'auto'])).toEqual({ outcomes: ['hello', 'hello'], info: io });
      expect(await ask(['auto'], { variable: 'uring' })).toEqual({ outcomes: ['hello'], info: io });
    },
  );

  test('is decided by the first call of a thread', async () => {
    const { outcomes } = (await ask(['epoll', 'uring', 'auto'])) as { outcomes: unknown[] };
    const message = expect.stringMatching(/asks for io_uring.* are on epoll: the option io asks/);
    expect(outcomes).toEqual(['hello', { ...refused, message }, 'hello']);
  });

  test('is epoll where io_uring is refused, and whoever insists is told why', async () => {
    const wrapper = ['python3', withoutUring];
    const message = expect.stringMatching(/option io asks for io_uring.*io_uring_setup: .*seccomp/);
    expect(await ask(['uring', 'auto', 'uring'], { wrapper })).toEqual({
      outcomes: [{ ...refused, message }, 'hello', { ...refused, message }],
      info: { driver: 'epoll', reason: expect.stringContaining('io_uring_setup') },
    });
    expect(await ask([], { wrapper, variable: 'uring' })).toEqual({ outcomes: [], info: refused });
  });

  test('is nothing that the portable engine has', async () => {
    expect(() => selectEngine('js', 'uring')).toThrow(expect.objectContaining(refused));
    expect(selectEngine('js').io).toBeNull();
  });

  test('cannot be another word', async () => {
    expect(await ask(['iocp'])).toMatchObject({
      outcomes: [{ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }],
    });
    expect(await ask(['auto'], { variable: 'iocp' })).toMatchObject({
      outcomes: [{ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }],
    });
  });
});
