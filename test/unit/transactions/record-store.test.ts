import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { deferred } from '../../../dist/base/deferred.js';
import { PaipaiError } from '../../../dist/base/errors.js';
import type { Journal } from '../../../dist/coordination/local/journal.js';
import { LogJournal } from '../../../dist/coordination/local/log-journal.js';
import type { TouchedRecord } from '../../../dist/transactions/messages.js';
import { RecordStore } from '../../../dist/transactions/record-store.js';
import { makeFolder } from '../../support/folders.js';
import { codeOf } from '../../support/session-pair.js';

const clock = { nowMs: () => 0, wallMs: () => 0 };
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const yes = { kind: 'yes' };

const set = (key: string, version: number, text: string): TouchedRecord => ({
  key,
  version,
  change: { value: bytes(text) },
});
const drop = (key: string, version: number): TouchedRecord => ({
  key,
  version,
  change: { value: undefined },
});

/** A transaction that changes what nobody has read before. */
async function commit(store: RecordStore, id: string, records: readonly TouchedRecord[]) {
  expect(await store.prepare({ id, records })).toEqual(yes);
  await store.finish(id, 'committed');
}

async function versionOf(store: RecordStore, key: string): Promise<number> {
  const answer = await store.get(key);
  if (answer.kind !== 'is') throw new Error(`${key} is held by ${answer.by}`);
  return answer.version;
}

function slowJournal() {
  const writes: { keys: string[]; proceed: (error?: Error) => void }[] = [];
  const journal: Journal = {
    read: async () => ({ lastVersion: 0, entries: [] }),
    write: (changes) => {
      const { promise, resolve, reject } = deferred<void>();
      writes.push({
        keys: changes.map(({ key }) => key),
        proceed: (error) => (error === undefined ? resolve() : reject(error)),
      });
      return promise;
    },
    close: async () => {},
  };
  return { journal, writes };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('records of a node', () => {
  test('are changed when a transaction that was prepared is committed, and not when it is aborted', async () => {
    const store = await RecordStore.open({ clock });
    expect(await store.get('a')).toEqual({ kind: 'is', version: 0, value: undefined });
    await commit(store, 't1', [set('a', 0, 'one'), set('b', 0, 'two')]);
    const version = await versionOf(store, 'a');
    expect(await store.get('a')).toEqual({ kind: 'is', version, value: bytes('one') });
    await store.prepare({ id: 't2', records: [set('a', version, 'other'), drop('b', version)] });
    await store.finish('t2', 'aborted');
    expect(await store.get('a')).toEqual({ kind: 'is', version, value: bytes('one') });
    await commit(store, 't3', [drop('b', version)]);
    expect(await store.get('b')).toMatchObject({ kind: 'is', value: undefined });
    expect(store.count).toBe(1);
    expect(store.inDoubt()).toEqual([]);
    // Again, and of one that nobody knows.
    await store.finish('t3', 'aborted');
    await store.finish('t4', 'committed');
    expect(store.count).toBe(1);
  });

  test('are held by who changes them, and by who has read them for those who would change them', async () => {
    const store = await RecordStore.open({ clock });
    await commit(store, 't0', [set('a', 0, '1'), set('b', 0, '1')]);
    const [a, b] = [await versionOf(store, 'a'), await versionOf(store, 'b')];
    await store.prepare({ id: 't1', records: [{ key: 'a', version: a }, set('b', b, '2')] });
    const blocked = { kind: 'blocked', by: ['t1'] };
    expect(await store.get('a')).toMatchObject({ kind: 'is', version: a });
    expect(await store.get('b')).toEqual(blocked);
    expect(await store.compare([{ key: 'a', version: a }])).toEqual(yes);
    expect(await store.compare([{ key: 'b', version: b }])).toEqual(blocked);
    expect(await store.prepare({ id: 't2', records: [set('a', a, '3')] })).toEqual(blocked);
    expect(await store.prepare({ id: 't3', records: [{ key: 'a', version: a }] })).toEqual(yes);
    expect(await store.prepare({ id: 't4', records: [set('a', a, '3')] })).toEqual({
      kind: 'blocked',
      by: ['t1', 't3'],
    });
    await store.finish('t1', 'committed');
    await store.finish('t3', 'committed');
    expect(await store.prepare({ id: 't5', records: [set('a', a, '3')] })).toEqual(yes);
    expect(await store.prepare({ id: 't6', records: [{ key: 'b', version: b }] })).toEqual({
      kind: 'changed',
    });
  });

  test('of several who come at the same time for one record one gets it', async () => {
    const { journal, writes } = slowJournal();
    const store = await RecordStore.open({ clock, journal });
    const preparing = ['t1', 't2', 't3'].map((id) =>
      store.prepare({ id, records: [set('a', 0, id)] }),
    );
    await turn();
    expect(writes).toMatchObject([{ keys: ['p/t1'] }]);
    writes[0]?.proceed();
    const kinds = (await Promise.all(preparing)).map(({ kind }) => kind);
    expect(kinds).toEqual(['yes', 'blocked', 'blocked']);
  });

  test('a preparation that comes twice promises once, and one that comes after its end is refused', async () => {
    const store = await RecordStore.open({ clock });
    const create = { id: 't1', records: [set('a', 0, '1')] };
    expect(await store.prepare(create)).toEqual(yes);
    expect(await store.prepare(create)).toEqual(yes);
    await store.finish('t1', 'committed');
    expect(await store.prepare(create)).toEqual({ kind: 'changed' });
    // Also when what it had made is gone.
    await commit(store, 't2', [drop('a', await versionOf(store, 'a'))]);
    expect(await store.prepare(create)).toEqual({ kind: 'changed' });
  });

  test('who asks for a record whose transaction is being finished waits for that', async () => {
    const { journal, writes } = slowJournal();
    const store = await RecordStore.open({ clock, journal });
    const preparing = store.prepare({ id: 't1', records: [set('a', 0, '1')] });
    await turn();
    writes[0]?.proceed();
    await preparing;
    const finishing = store.finish('t1', 'committed');
    const reading = store.get('a');
    await turn();
    expect(writes[1]?.keys).toEqual(['r/a', 'p/t1']);
    writes[1]?.proceed();
    await finishing;
    expect(await reading).toMatchObject({ kind: 'is', value: bytes('1') });
  });

  test('a promise that cannot be kept is none', async () => {
    const { journal, writes } = slowJournal();
    const store = await RecordStore.open({ clock, journal });
    const preparing = store.prepare({ id: 't1', records: [set('a', 0, '1')] });
    const failed = codeOf(preparing);
    await turn();
    writes[0]?.proceed(new PaipaiError('PAIPAI_ERR_STORE_FULL', 'full'));
    expect(await failed).toBe('PAIPAI_ERR_STORE_FULL');
    expect(store.inDoubt()).toEqual([]);
    expect(await store.get('a')).toMatchObject({ kind: 'is', version: 0 });
  });

  test('what is finished and cannot be written stays in doubt, and is finished later', async () => {
    const { journal, writes } = slowJournal();
    const store = await RecordStore.open({ clock, journal });
    const preparing = store.prepare({ id: 't1', records: [set('a', 0, '1')] });
    await turn();
    writes[0]?.proceed();
    await preparing;
    const failed = codeOf(store.finish('t1', 'committed'));
    await turn();
    writes[1]?.proceed(new PaipaiError('PAIPAI_ERR_STORE_FULL', 'full'));
    expect(await failed).toBe('PAIPAI_ERR_STORE_FULL');
    expect(store.inDoubt()).toMatchObject([{ id: 't1' }]);
    const finishing = store.finish('t1', 'committed');
    await turn();
    writes[2]?.proceed();
    await finishing;
    expect(await store.get('a')).toMatchObject({ kind: 'is', value: bytes('1') });
  });

  test('outlive their process, and so do promises', async () => {
    const path = join(makeFolder(), 'records');
    const open = (): Promise<RecordStore> =>
      RecordStore.open({ clock, journal: new LogJournal(path) });
    const first = await open();
    await commit(first, 't1', [set('a', 0, '1'), set('b', 0, '1')]);
    const version = await versionOf(first, 'a');
    await commit(first, 't2', [drop('b', version)]);
    await first.prepare({
      id: 't3',
      records: [set('a', version, '2'), { key: 'c', version: await versionOf(first, 'c') }],
    });
    await first.close();
    const second = await open();
    expect(second.inDoubt()).toMatchObject([{ id: 't3' }]);
    expect(await second.get('a')).toEqual({ kind: 'blocked', by: ['t3'] });
    expect(await second.prepare({ id: 't4', records: [set('b', 0, 'x')] })).toEqual({
      kind: 'changed',
    });
    expect(
      await second.prepare({ id: 't5', records: [set('c', await versionOf(second, 'c'), 'x')] }),
    ).toEqual({ kind: 'blocked', by: ['t3'] });
    await second.finish('t3', 'committed');
    await second.close();
    const third = await open();
    expect(third.inDoubt()).toEqual([]);
    expect(await third.get('a')).toMatchObject({ kind: 'is', value: bytes('2') });
    expect(await versionOf(third, 'a')).toBeGreaterThan(version);
    await third.close();
    expect(
      await codeOf(
        third.prepare({ id: 't6', records: [set('d', await versionOf(third, 'd'), 'x')] }),
      ),
    ).toBe('PAIPAI_ERR_CLOSED');
  });
});
