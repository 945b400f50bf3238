import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Change } from '../../../../dist/coordination/coordinator.js';
import { FilesJournal } from '../../../../dist/coordination/local/files-journal.js';
import { LocalCoordinator } from '../../../../dist/coordination/local/local-coordinator.js';
import { makeFolder } from '../../../support/folders.js';
import { ManualTime } from '../../../support/test-env.js';

const freshFolder = (): string => join(makeFolder(), 'coordination');
const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

async function contentOf(folder: string): Promise<{ lastVersion: number; entries: Change[] }> {
  const { lastVersion, entries } = await new FilesJournal(folder).read();
  return { lastVersion, entries: [...entries].sort((a, b) => a.version - b.version) };
}

describe('a journal in files', () => {
  test('is there again, with the version of the latest change, deletions included', async () => {
    const folder = freshFolder();
    expect(await contentOf(folder)).toEqual({ lastVersion: 0, entries: [] });
    const long = 'ä'.repeat(256);
    const journal = new FilesJournal(folder);
    await journal.write({ key: 'a', version: 1, value: bytes('1') });
    await journal.write({ key: long, version: 2, value: new Uint8Array(1024 * 1024) });
    await journal.write({ key: '../a/\u0000', version: 3, value: bytes('') });
    await journal.write({ key: 'a', version: 4, value: bytes('2') });
    expect(await contentOf(folder)).toEqual({
      lastVersion: 4,
      entries: [
        { key: long, version: 2, value: new Uint8Array(1024 * 1024) },
        { key: '../a/\u0000', version: 3, value: bytes('') },
        { key: 'a', version: 4, value: bytes('2') },
      ],
    });
    await journal.write({ key: 'a', version: 5, value: undefined });
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

  test('what a write left that did not come to its end is removed', async () => {
    const folder = freshFolder();
    await new FilesJournal(folder).write({ key: 'a', version: 1, value: bytes('1') });
    writeFileSync(join(folder, '1-1.tmp'), 'half');
    expect((await contentOf(folder)).lastVersion).toBe(1);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('a change that cannot be placed leaves the journal unable to say, so it writes no more', async () => {
    const folder = freshFolder();
    const journal = new FilesJournal(folder);
    await journal.write({ key: 'a', version: 1, value: bytes('1') });
    const [name = ''] = readdirSync(folder);
    rmSync(join(folder, name));
    // A folder stands where the file goes.
    const inside = new FilesJournal(join(folder, name));
    await inside.write({ key: 'x', version: 1, value: bytes('1') });
    const failed = { code: 'PAIPAI_ERR_STORE_FAILED' };
    await expect(journal.write({ key: 'a', version: 2, value: bytes('2') })).rejects.toMatchObject(
      failed,
    );
    await expect(journal.write({ key: 'b', version: 2, value: bytes('2') })).rejects.toMatchObject(
      failed,
    );
  });

  test.each<[string, (path: string) => void]>([
    ['a flipped byte', (path) => flip(path, 25)],
    ['a flipped version', (path) => flip(path, 8)],
    ['another magic', (path) => flip(path, 0)],
    ['bytes behind it', (path) => appendFileSync(path, 'x')],
    ['no byte at all', (path) => writeFileSync(path, '')],
    ['a key longer than the file', (path) => flip(path, 17)],
    ['more than any entry has', (path) => writeFileSync(path, Buffer.alloc(2 * 1024 * 1024))],
  ])('%s is found', async (_, harm) => {
    const folder = freshFolder();
    await new FilesJournal(folder).write({ key: 'abc', version: 1, value: bytes('123456') });
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
