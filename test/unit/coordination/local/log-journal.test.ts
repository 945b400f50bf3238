import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { StoredChange } from '../../../../dist/coordination/local/journal.js';
import { LocalCoordinator } from '../../../../dist/coordination/local/local-coordinator.js';
import { encodeHeader } from '../../../../dist/coordination/local/log-file.js';
import { LogJournal } from '../../../../dist/coordination/local/log-journal.js';
import { makeFolder } from '../../../support/folders.js';
import { ManualTime } from '../../../support/test-env.js';

const freshFolder = (): string => join(makeFolder(), 'coordination');
const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

async function contentOf(
  folder: string,
): Promise<{ lastVersion: number; entries: StoredChange[] }> {
  const journal = new LogJournal(folder);
  const { lastVersion, entries } = await journal.read();
  await journal.close();
  return {
    lastVersion,
    entries: [...entries].sort((a, b) => a.version - b.version || (a.key < b.key ? -1 : 1)),
  };
}

async function writeOnce(folder: string, changes: readonly StoredChange[]): Promise<void> {
  const journal = new LogJournal(folder);
  await journal.read();
  await journal.write(changes);
  await journal.close();
}

describe('a journal in a log', () => {
  test('is there again, with the version of the latest change, deletions included', async () => {
    const folder = freshFolder();
    expect(await contentOf(folder)).toEqual({ lastVersion: 0, entries: [] });
    const long = 'ä'.repeat(256);
    const journal = new LogJournal(folder);
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
      LocalCoordinator.open(new ManualTime().env(), { journal: new LogJournal(folder) });
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
      const journal = new LogJournal(folder);
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
    const path = join(folder, 'log');
    await writeOnce(folder, [{ key: 'a', version: 1, value: bytes('1') }]);
    const { byteLength } = readFileSync(path);
    await writeOnce(folder, [{ key: 'a', version: 2, value: bytes('2') }]);
    const whole = readFileSync(path);
    writeFileSync(join(folder, '1-1.tmp'), 'half');
    // As it was before the second was synced: the header knows of the first alone.
    const header = encodeHeader(byteLength);
    for (let length = byteLength; length <= whole.byteLength; length++) {
      writeFileSync(path, Buffer.concat([header, whole.subarray(header.byteLength, length)]));
      const isWhole = length === whole.byteLength;
      expect((await contentOf(folder)).lastVersion).toBe(isWhole ? 2 : 1);
      expect(readFileSync(path).byteLength).toBe(isWhole ? length : byteLength);
    }
    expect(readdirSync(folder)).toEqual(['log']);
  });

  test('is written anew when most of it is outdated, and says the same', async () => {
    const folder = freshFolder();
    const journal = new LogJournal(folder);
    await journal.read();
    const lease = { leaseId: 7, ttlMs: 500 };
    await journal.write([{ key: 'kept', version: 1, value: bytes('1'), lease }]);
    await journal.write([{ key: 'gone', version: 2, value: bytes('1') }]);
    const value = new Uint8Array(256 * 1024);
    let longest = 0;
    for (let version = 3; version < 40; version++) {
      await journal.write([{ key: 'large', version, value: value.fill(version) }]);
      longest = Math.max(longest, statSync(join(folder, 'log')).size);
    }
    await journal.write([{ key: 'gone', version: 40, value: undefined }]);
    await journal.close();
    expect(longest).toBeLessThan(5 * 1024 * 1024);
    expect(longest).toBeGreaterThan(2 * 1024 * 1024);
    const expected = {
      lastVersion: 40,
      entries: [
        { key: 'kept', version: 1, value: bytes('1'), lease },
        { key: 'large', version: 39, value },
      ],
    };
    expect(await contentOf(folder)).toEqual(expected);
    expect(await contentOf(folder)).toEqual(expected);
    expect(readdirSync(folder)).toEqual(['log']);
  });

  test('several changes are all there or none, wherever their writer ended', async () => {
    const lease = { leaseId: 7, ttlMs: 500 };
    const write = async (journal: LogJournal): Promise<void> => {
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
    await write(new LogJournal(whole));
    expect(await contentOf(whole)).toEqual({ lastVersion: 2, entries: after });
    const ends = new Set<number>();
    // A process that dies at the n-th call that changes the disk makes none after it.
    for (let calls = 1; ; calls++) {
      const folder = freshFolder();
      const died = await dieAt(calls, () => write(new LogJournal(folder)));
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

  test('a change that cannot be synced leaves the journal unable to say, so it writes no more', async () => {
    const folder = freshFolder();
    const journal = new LogJournal(folder);
    await journal.write([{ key: 'a', version: 1, value: bytes('1') }]);
    const failed = { code: 'PAIPAI_ERR_STORE_FAILED' };
    const write = (version: number): Promise<void> =>
      journal.write([{ key: 'a', version, value: bytes('2') }]);
    await failing('datasync', 'EIO', () => expect(write(2)).rejects.toMatchObject(failed));
    await expect(write(3)).rejects.toMatchObject(failed);
    await journal.close();
  });

  test('a disk without room keeps nothing of a change, and takes the next one when there is some', async () => {
    const folder = freshFolder();
    const journal = new LogJournal(folder);
    await journal.write([{ key: 'a', version: 1, value: bytes('1') }]);
    const full = { code: 'PAIPAI_ERR_STORE_FULL' };
    await failing('write', 'ENOSPC', () =>
      expect(journal.write([{ key: 'a', version: 2, value: bytes('2') }])).rejects.toMatchObject(
        full,
      ),
    );
    await journal.write([{ key: 'b', version: 3, value: bytes('3') }]);
    await journal.close();
    const { entries } = await contentOf(folder);
    expect(entries.map(({ key, version }) => [key, version])).toEqual([
      ['a', 1],
      ['b', 3],
    ]);
  });

  test.each<[string, (path: string) => void]>([
    ['a flipped byte', (path) => flip(path, 75)],
    ['a flipped version', (path) => flip(path, 28)],
    ['another magic', (path) => flip(path, 0)],
    ['another magic of a change', (path) => flip(path, 16)],
    ['a change that is cut off', (path) => truncateSync(path, 74)],
    ['no byte at all', (path) => writeFileSync(path, '')],
    ['a key longer than the file', (path) => flip(path, 63)],
    ['a change longer than any', (path) => flip(path, 27)],
    ['a header that says more', (path) => flip(path, 9)],
  ])('%s is found', async (_, harm) => {
    const folder = freshFolder();
    await writeOnce(folder, [{ key: 'abc', version: 1, value: bytes('123456') }]);
    harm(join(folder, 'log'));
    await expect(contentOf(folder)).rejects.toMatchObject({ code: 'PAIPAI_ERR_STORE_FAILED' });
  });
});

function flip(path: string, at: number): void {
  const content = readFileSync(path);
  content.writeUInt8((content[at] ?? 0) ^ 1, at);
  writeFileSync(path, content);
}

/** What every open file of `node:fs/promises` is made from. */
const fileHandle = await (async () => {
  const file = await fs.open(new URL(import.meta.url).pathname);
  await file.close();
  return Object.getPrototypeOf(file) as typeof file;
})();

/** `work` while that method of all open files fails. */
async function failing(
  method: 'write' | 'datasync',
  code: string,
  work: () => Promise<void>,
): Promise<void> {
  const real = fileHandle[method];
  const fail = (): Promise<never> =>
    Promise.reject(Object.assign(new Error(code), { code, errno: -1, syscall: method }));
  Object.assign(fileHandle, { [method]: fail });
  try {
    await work();
  } finally {
    Object.assign(fileHandle, { [method]: real });
  }
}

/** Whether `work` came to that call, counted from 1: it and whatever would follow is never done. */
async function dieAt(calls: number, work: () => Promise<void>): Promise<boolean> {
  const { rename, rm, open } = fs;
  const { write, writeFile, datasync, sync, truncate } = fileHandle;
  let left = calls;
  let die!: (died: boolean) => void;
  const dying = new Promise<boolean>((resolve) => {
    die = resolve;
  });
  const counted = <T extends (...args: never[]) => unknown>(real: T): T =>
    function call(this: unknown, ...args: never[]) {
      left--;
      if (left > 0) return real.apply(this, args);
      die(true);
      return new Promise(() => {});
    } as T;
  const ofFiles = { write, writeFile, datasync, sync, truncate };
  const dead = Object.fromEntries(
    Object.entries(ofFiles).map(([name, real]) => [name, counted(real as () => unknown)]),
  );
  Object.assign(fs, { rename: counted(rename), rm: counted(rm), open: counted(open) });
  Object.assign(fileHandle, dead);
  syncBuiltinESMExports();
  try {
    return await Promise.race([dying, work().then(() => false)]);
  } finally {
    Object.assign(fs, { rename, rm, open });
    Object.assign(fileHandle, ofFiles);
    syncBuiltinESMExports();
  }
}
