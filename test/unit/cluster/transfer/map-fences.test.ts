import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { deferred } from '../../../../dist/base/deferred.js';
import { MapFences } from '../../../../dist/cluster/transfer/map-fences.js';
import type { Change } from '../../../../dist/coordination/coordinator.js';
import type { Journal } from '../../../../dist/coordination/local/journal.js';
import { LogJournal } from '../../../../dist/coordination/local/log-journal.js';
import { makeFolder } from '../../../support/folders.js';
import { codeOf, codeThrown } from '../../../support/session-pair.js';

const data = { dataId: 'd', version: 0n };
const other = { dataId: 'd', version: 1n };
const stale = 'PAIPAI_ERR_STALE_MAP';

function journalInMemory(proceed: Promise<void> = Promise.resolve()) {
  const kept: Change[] = [];
  const journal: Journal = {
    read: async () => ({ lastVersion: 0, entries: [] }),
    write: async (changes) => {
      await proceed;
      kept.push(...changes);
    },
    close: async () => {},
  };
  return { journal, kept };
}

describe('fences of shard maps', () => {
  test('refuse changes under an older map, of this version of the data alone, and uses behind a drop', async () => {
    const { journal, kept } = journalInMemory();
    const fences = await MapFences.open(journal);
    expect(fences.admitChange(data, 0)).toBeUndefined();
    await fences.admitChange(data, 5);
    expect(fences.admitChange(data, 5)).toBeUndefined();
    for (const older of [0, 4]) {
      expect(codeThrown(() => fences.admitChange(data, older))).toBe(stale);
      expect(codeThrown(() => fences.admitDrop(data, older))).toBe(stale);
      fences.checkUse(data, older);
    }
    fences.checkChange(other, 0);
    await fences.admitDrop(data, 6);
    expect(() => fences.checkUse(data, 5)).toThrow(
      expect.objectContaining({ code: stale, mapVersion: 6, dataId: 'd' }),
    );
    fences.checkUse(data, 6);
    await fences.admitChange(data, 8);
    fences.checkUse(data, 6);
    expect(kept.map(({ version }) => version)).toEqual([5, 6, 8]);
  });

  test('hold at once, and are confirmed when they are kept; many who wait share one write', async () => {
    const disk = deferred<void>();
    const { journal, kept } = journalInMemory(disk.promise);
    const fences = await MapFences.open(journal);
    const waiting = Array.from({ length: 10 }, () => fences.admitChange(data, 3));
    expect(codeThrown(() => fences.checkChange(data, 2))).toBe(stale);
    expect(waiting.every((each) => each !== undefined)).toBe(true);
    const dropping = fences.admitDrop(data, 3);
    disk.resolve();
    await Promise.all([...waiting, dropping]);
    expect(kept.length).toBe(1);
    expect(fences.admitDrop(data, 3)).toBeUndefined();
  });

  test('are there again, and one that could not be kept is not confirmed', async () => {
    const folder = join(makeFolder(), 'fences');
    const first = await MapFences.open(new LogJournal(folder));
    await first.admitChange(data, 7);
    await first.admitDrop(other, 2 ** 52);
    await first.close();
    const second = await MapFences.open(new LogJournal(folder));
    expect(codeThrown(() => second.checkChange(data, 6))).toBe(stale);
    second.checkUse(data, 0);
    expect(codeThrown(() => second.checkUse(other, 2 ** 52 - 1))).toBe(stale);

    const failing: Journal = {
      ...journalInMemory().journal,
      write: () => Promise.reject(new Error('disk')),
    };
    const third = await MapFences.open(failing);
    expect(await codeOf(third.admitChange(data, 1) ?? Promise.resolve())).toContain('disk');
    expect(third.admitChange(data, 1)).toBeDefined();
  });
});
