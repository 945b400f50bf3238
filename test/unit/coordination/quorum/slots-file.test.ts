import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { SlotsFile } from '../../../../dist/coordination/quorum/slots-file.js';
import { makeFolder } from '../../../support/folders.js';
import {
  readTrace,
  type SystemCall,
  traceCommand,
  whyNoTrace,
} from '../../../support/system-calls.js';

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

async function contentOf(folder: string): Promise<Uint8Array | undefined> {
  const file = new SlotsFile(folder);
  const content = await file.read();
  await file.close();
  return content;
}

describe('a file of two slots', () => {
  test('has what was written last, of any size, also after it grew', async () => {
    const folder = join(makeFolder(), 'quorum');
    expect(await contentOf(folder)).toBeUndefined();
    for (const [at, length] of [0, 1, 4_072, 4_073, 100, 1_000_000, 7, 4_000_000].entries()) {
      const file = new SlotsFile(folder);
      await file.read();
      await file.write(bytes(length, at));
      await file.write(bytes(length, at + 1));
      await file.close();
      expect(await contentOf(folder)).toEqual(bytes(length, at + 1));
    }
  });

  test('a write that was cut at any byte leaves what was there before', async () => {
    const folder = join(makeFolder(), 'quorum');
    const path = join(folder, 'acceptor');
    const file = new SlotsFile(folder);
    await file.read();
    await file.write(bytes(100, 1));
    await file.write(bytes(100, 2));
    const before = readFileSync(path);
    await file.write(bytes(100, 3));
    await file.close();
    const after = readFileSync(path);
    for (let cut = 0; cut <= 124; cut++) {
      // The third write went where the first one was.
      const torn = Buffer.from(before);
      after.copy(torn, 0, 0, cut);
      writeFileSync(path, torn);
      expect((await contentOf(folder))?.[0]).toBe(cut === 124 ? 3 : 2);
    }
  });

  test.each<[string, (content: Buffer) => Buffer]>([
    ['both slots flipped', (content) => content.map((byte) => byte ^ 1) as Buffer],
    ['an empty file', () => Buffer.alloc(0)],
    ['half a file', (content) => content.subarray(0, 100)],
    ['a file that is far too long', () => Buffer.alloc(32 * 1024 * 1024)],
  ])('%s is found', async (_, harm) => {
    const folder = join(makeFolder(), 'quorum');
    const file = new SlotsFile(folder);
    await file.read();
    await file.write(bytes(10, 1));
    await file.close();
    const path = join(folder, 'acceptor');
    writeFileSync(path, harm(readFileSync(path)));
    await expect(contentOf(folder)).rejects.toMatchObject({ code: 'PAIPAI_ERR_STORE_FAILED' });
  });
});

const reasonNot = whyNoTrace();
const title = reasonNot === undefined ? '' : ` (skipped: ${reasonNot})`;
const moduleUrl = new URL('../../../../dist/coordination/quorum/slots-file.js', import.meta.url);
const traced = ['openat', 'pwrite64', 'pread64', 'fsync', 'fdatasync', 'rename'];

/** What a process of its own asks of the system for `body`, which has a `file` in `folder`. */
function trace(folder: string, body: string): readonly SystemCall[] {
  const program = `
    import { SlotsFile } from ${JSON.stringify(fileURLToPath(moduleUrl))};
    const file = new SlotsFile(${JSON.stringify(folder)});
    await file.read();
    ${body}
    await file.close();`;
  const path = join(makeFolder(), 'trace');
  const node = [process.execPath, '--input-type=module', '--eval', program];
  const [command = '', ...args] = [...traceCommand(path, traced), ...node];
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`it ended with ${status}: ${stderr}`);
  return readTrace(path);
}

describe.skipIf(reasonNot !== undefined)(`what is asked of the system${title}`, () => {
  test('a write comes back when it is on disk', () => {
    const folder = join(makeFolder(), 'quorum');
    const path = join(folder, 'acceptor');
    // The first makes the file, the third a larger one.
    const calls = trace(
      folder,
      'for (const bytes of [10, 20, 10_000, 30]) await file.write(new Uint8Array(bytes));',
    );
    const opened = calls.filter(({ name, text }) => name === 'openat' && text.includes(`${path}"`));
    const writes = calls.filter(({ name, target }) => name === 'pwrite64' && target === path);
    expect(writes).toHaveLength(2);
    for (const write of writes) {
      const isSynced = calls.some(
        ({ name, target, beganAt }) =>
          name === 'fdatasync' && target === path && beganAt > write.cameBackAt,
      );
      const openedAs = opened.findLast(({ cameBackAt }) => cameBackAt < write.beganAt)?.text;
      expect(isSynced || openedAs?.includes('O_DSYNC')).toBe(true);
    }
  });

  test('what lies there is synced, with its name, before it is read: it may not be on disk yet', () => {
    const folder = join(makeFolder(), 'quorum');
    trace(folder, 'await file.write(new Uint8Array(10));');
    const calls = trace(folder, '');
    const of = (name: string, target: string): SystemCall | undefined =>
      calls.find((call) => call.name === name && call.target === target);
    const reading = of('pread64', join(folder, 'acceptor'));
    expect(reading).toBeDefined();
    const synced = [of('fdatasync', join(folder, 'acceptor')), of('fsync', folder)];
    for (const call of synced) expect(call?.cameBackAt).toBeLessThan(reading?.beganAt ?? 0);
  });
});
