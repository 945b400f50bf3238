import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FilesJournal } from '../../../../dist/coordination/local/files-journal.js';
import type { StoredChange } from '../../../../dist/coordination/local/journal.js';
import { LocalCoordinator } from '../../../../dist/coordination/local/local-coordinator.js';
import { makeFolder } from '../../../support/folders.js';
import { ManualTime } from '../../../support/test-env.js';

const freshFolder = (): string => join(makeFolder(), 'coordination');
const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

async function contentOf(
  folder: string,
): Promise<{ lastVersion: number; entries: StoredChange[] }> {
  const { lastVersion, entries } = await new FilesJournal(folder).read();
  return {
    lastVersion,
    entries: [...entries].sort((a, b) => a.version - b.version || (a.key < b.key ? -1 : 1)),
  };
}

describe('a journal in files', () => {
  test('is there again, with the version of the latest change, deletions included', async () => {
    const folder = freshFolder();
    expect(await contentOf(folder)).toEqual({ lastVersion: 0, entries: [] });
    const long = 'ä'.repeat(256);
    const journal = new FilesJournal(folder);
    await journal.write([{ key: 'a', version: 1, value: bytes('1') }]);
    await journal.write([{ key: long, version: 2, value: new Uint8Array(1024 * 1024) }]);
    await journal.write([{ key: '../a/\u0000', version: 3, value: bytes('') }]);
    await journal.write([{ key: 'a', version: 4, value: bytes('2') }]);
    expect(await contentOf(folder)).toEqual({
      lastVersion: 4,
      entries: [
        { key: long, version: 2, value: new Uint8Array(1024 * 1024) },
        { key: '../a/\u0000', version: 3, value: bytes('') },
        { key: 'a', version: 4, value: bytes('2') },
      ],
    });
    await journal.write([{ key: 'a', version: 5, value: undefined }]);
    const { lastVersion, entries } = await contentOf(folder);
    expect([lastVersion, entries.map(({ version }) => version)]).toEqual([5, [2, 3]]);
  });

  test('a coordinator goes on where the one before it ended', async () => {
    const folder = freshFolder();
    const open = () =>
      LocalCoordinator.open(new ManualTime().env(), { journal: new FilesJournal(folder) });
    const first = await open();
    const { version } = await first.compareAndSet('a', 0, bytes('1'));
    const other = await first.compareAndSet('b', 0, bytes('1'));
    await first.compareAndSet('b', other.version, undefined);
    await first.close();
    const second = await open();
    expect(await second.get('a')).toMatchObject({ value: bytes('1'), version });
    const fresh = await second.compareAndSet('b', 0, bytes('2'));
    expect(fresh.version).toBe(4);
    const late = second.watch('b', { after: other.version });
    await expect(late.next()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HISTORY_GONE' });
  });

  test('a key keeps its lease, which begins anew with a coordinator that goes on', async () => {
    const folder = freshFolder();
    const open = async () => {
      const time = new ManualTime();
      const journal = new FilesJournal(folder);
      return { time, coordinator: await LocalCoordinator.open(time.env(), { journal }) };
    };
    const { time, coordinator: first } = await open();
    const { leaseId } = await first.grantLease(500);
    await first.compareAndSet('a', 0, bytes('1'), { leaseId });
    await first.compareAndSet('b', 0, bytes('1'));
    time.advance(499);
    await first.close();
    const { time: later, coordinator: second } = await open();
    later.advance(499);
    await second.keepLease(leaseId);
    later.advance(499);
    expect((await second.get('a')).value).toEqual(bytes('1'));
    const watch = second.watch('a', { after: (await second.get('a')).asOf });
    later.advance(1);
    expect((await watch.next()).value.value).toBeUndefined();
    await second.close();
    const { entries } = await contentOf(folder);
    expect(entries.map(({ key }) => key)).toEqual(['b']);
  });

  test('what a write left that did not come to its end is removed', async () => {
    const folder = freshFolder();
    await new FilesJournal(folder).write([{ key: 'a', version: 1, value: bytes('1') }]);
    writeFileSync(join(folder, '1-1.tmp'), 'half');
    expect((await contentOf(folder)).lastVersion).toBe(1);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('several changes are all there or none, wherever their writer ended', async () => {
    const lease = { leaseId: 7, ttlMs: 500 };
    const write = async (journal: FilesJournal): Promise<void> => {
      await journal.write([{ key: 'a', version: 1, value: bytes('1') }]);
      await journal.write([
        { key: 'a', version: 2, value: undefined },
        { key: 'b', version: 2, value: bytes('2'), lease },
        { key: 'c', version: 2, value: bytes('2') },
      ]);
    };
    const before = [{ key: 'a', version: 1, value: bytes('1'), lease: undefined }];
    const after = [
      { key: 'b', version: 2, value: bytes('2'), lease },
      { key: 'c', version: 2, value: bytes('2'), lease: undefined },
    ];
    const whole = freshFolder();
    await write(new FilesJournal(whole));
    expect(await contentOf(whole)).toEqual({ lastVersion: 2, entries: after });
    const ends = new Set<number>();
    // A process that dies at the n-th call that changes the disk makes none after it.
    for (let calls = 1; ; calls++) {
      const folder = freshFolder();
      const died = await dieAt(calls, () => write(new FilesJournal(folder)));
      const { lastVersion, entries } = await contentOf(folder);
      expect(await contentOf(folder)).toEqual({ lastVersion, entries });
      ends.add(lastVersion);
      if (lastVersion === 2) expect(entries).toEqual(after);
      else if (lastVersion === 1) expect(entries).toEqual(before);
      else expect(entries).toEqual([]);
      if (!died) break;
    }
    expect(ends).toEqual(new Set([0, 1, 2]));
  });

  test('a change that cannot be placed leaves the journal unable to say, so it writes no more', async () => {
    const folder = freshFolder();
    const journal = new FilesJournal(folder);
    await journal.write([{ key: 'a', version: 1, value: bytes('1') }]);
    const [name = ''] = readdirSync(folder);
    rmSync(join(folder, name));
    // A folder stands where the file goes.
    const inside = new FilesJournal(join(folder, name));
    await inside.write([{ key: 'x', version: 1, value: bytes('1') }]);
    const failed = { code: 'PAIPAI_ERR_STORE_FAILED' };
    await expect(
      journal.write([{ key: 'a', version: 2, value: bytes('2') }]),
    ).rejects.toMatchObject(failed);
    await expect(
      journal.write([{ key: 'b', version: 2, value: bytes('2') }]),
    ).rejects.toMatchObject(failed);
  });

  test.each<[string, (path: string) => void]>([
    ['a flipped byte', (path) => flip(path, 43)],
    ['a flipped version', (path) => flip(path, 12)],
    ['another magic', (path) => flip(path, 0)],
    ['bytes behind it', (path) => appendFileSync(path, 'x')],
    ['no byte at all', (path) => writeFileSync(path, '')],
    ['a key longer than the file', (path) => flip(path, 35)],
    ['more than any entry has', (path) => writeFileSync(path, Buffer.alloc(2 * 1024 * 1024))],
  ])('%s is found', async (_, harm) => {
    const folder = freshFolder();
    await new FilesJournal(folder).write([{ key: 'abc', version: 1, value: bytes('123456') }]);
    const [name = ''] = readdirSync(folder);
    harm(join(folder, name));
    await expect(contentOf(folder)).rejects.toMatchObject({ code: 'PAIPAI_ERR_STORE_FAILED' });
  });
});

function flip(path: string, at: number): void {
  const content = readFileSync(path);
  content.writeUInt8((content[at] ?? 0) ^ 1, at);
  writeFileSync(path, content);
}

/** Whether `work` came to that call, counted from 1: it and whatever would follow is never done. */
async function dieAt(calls: number, work: () => Promise<void>): Promise<boolean> {
  const { rename, rm, open } = fs;
  let left = calls;
  let die!: (died: boolean) => void;
  const dying = new Promise<boolean>((resolve) => {
    die = resolve;
  });
  const counted = <T extends (...args: never[]) => Promise<unknown>>(real: T): T =>
    ((...args) => {
      left--;
      if (left > 0) return real(...args);
      die(true);
      return new Promise(() => {});
    }) as T;
  Object.assign(fs, { rename: counted(rename), rm: counted(rm), open: counted(open) });
  syncBuiltinESMExports();
  try {
    return await Promise.race([dying, work().then(() => false)]);
  } finally {
    Object.assign(fs, { rename, rm, open });
    syncBuiltinESMExports();
  }
}
