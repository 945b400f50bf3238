import { describe, expect, test } from 'vitest';
import { deferred } from '../../../../dist/base/deferred.js';
import { valueBytesMax } from '../../../../dist/coordination/coordinator.js';
import type { Journal, StoredChange } from '../../../../dist/coordination/local/journal.js';
import {
  LocalCoordinator,
  type LocalCoordinatorOptions,
} from '../../../../dist/coordination/local/local-coordinator.js';
import { ManualTime } from '../../../support/test-env.js';

const mebibyte = 1024 * 1024;
const value = (bytes: number): Uint8Array => new Uint8Array(bytes);

async function open(options: LocalCoordinatorOptions = {}) {
  const time = new ManualTime();
  return { time, coordinator: await LocalCoordinator.open(time.env(), options) };
}

/** Keeps changes in memory, as a disk would, and waits for `proceed` when it is told to. */
class TestJournal implements Journal {
  readonly kept: StoredChange[] = [];
  proceed: Promise<void> = Promise.resolve();
  isClosed = false;

  async read() {
    const entries = new Map<string, StoredChange & { value: Uint8Array }>();
    for (const { key, version, value, lease } of this.kept) {
      if (value === undefined) entries.delete(key);
      else entries.set(key, { key, version, value, lease });
    }
    return { lastVersion: this.kept.at(-1)?.version ?? 0, entries: entries.values() };
  }

  async write(changes: readonly StoredChange[]) {
    await this.proceed;
    this.kept.push(...changes);
  }

  async close() {
    this.isClosed = true;
  }
}

describe('limits', () => {
  test('values up to the limit, no byte more, and room again after a deletion', async () => {
    const { coordinator } = await open({ bytesMax: 4 * mebibyte });
    const key = (at: number): string => `key-${at}`; // 5 bytes, and 128 for the entry.
    for (let at = 0; at < 4; at++) {
      await coordinator.compareAndSet(key(at), 0, value(valueBytesMax - 133));
    }
    const full = { code: 'PAIPAI_ERR_STORE_FULL' };
    await expect(coordinator.compareAndSet('one more', 0, value(0))).rejects.toMatchObject(full);
    const { version } = await coordinator.get(key(0));
    const growing = coordinator.compareAndSet(key(0), version, value(valueBytesMax - 132));
    await expect(growing).rejects.toMatchObject(full);
    expect(await coordinator.get(key(0))).toMatchObject({ version });
    const same = await coordinator.compareAndSet(key(0), version, value(valueBytesMax - 133));
    expect(same.isSet).toBe(true);
    await coordinator.compareAndSet(key(0), same.version, undefined);
    expect((await coordinator.compareAndSet('one more', 0, value(0))).isSet).toBe(true);
  });

  test.each([{ historyCountMax: 3 }, { historyBytesMax: 4 * mebibyte }])(
    'of the history the last three changes are kept: %j',
    async (limits) => {
      const { coordinator } = await open(limits);
      let version = 0;
      for (let change = 0; change < 4; change++) {
        ({ version } = await coordinator.compareAndSet('a', version, value(valueBytesMax)));
      }
      const told = coordinator.watch('a', { after: 1 });
      const versions = [await told.next(), await told.next(), await told.next()].map(
        (result) => result.value.version,
      );
      expect(versions).toEqual([2, 3, 4]);
      const late = coordinator.watch('a', { after: 0 });
      await expect(late.next()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HISTORY_GONE' });
    },
  );

  test('a watch that is read too slowly hears that it missed something', async () => {
    const { coordinator } = await open({ historyCountMax: 2 });
    const watch = coordinator.watch('a', { after: 0 });
    let version = 0;
    for (let change = 0; change < 2; change++) {
      ({ version } = await coordinator.compareAndSet('a', version, value(1)));
    }
    expect((await watch.next()).value.version).toBe(1);
    for (let change = 0; change < 2; change++) {
      ({ version } = await coordinator.compareAndSet('a', version, value(1)));
    }
    await expect(watch.next()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HISTORY_GONE' });
  });

  test.each([
    { bytesMax: 4 * mebibyte - 1 },
    { historyCountMax: 0 },
    { historyBytesMax: 1 },
    { bytesMax: Infinity },
  ])('%j', async (options) => {
    const wrong = { code: 'PAIPAI_ERR_INVALID_ARGUMENT' };
    await expect(open(options)).rejects.toMatchObject(wrong);
  });
});

describe('with a journal', () => {
  test('a change is seen when it is kept, not before', async () => {
    const journal = new TestJournal();
    const { coordinator } = await open({ journal });
    const gate = deferred<void>();
    journal.proceed = gate.promise;
    const watch = coordinator.watch('a', { after: 0 });
    const told = watch.next();
    const setting = coordinator.compareAndSet('a', 0, value(1));
    const second = coordinator.compareAndSet('a', 0, value(2));
    expect(await coordinator.get('a')).toMatchObject({ version: 0 });
    gate.resolve();
    expect(await setting).toMatchObject({ isSet: true, version: 1 });
    expect(await second).toMatchObject({ isSet: false, version: 1 });
    expect((await told).value.version).toBe(1);
    expect(journal.kept.length).toBe(1);
  });

  test('another life goes on where the first ended: values, versions, and no history', async () => {
    const journal = new TestJournal();
    const { coordinator: first } = await open({ journal });
    await first.compareAndSet('a', 0, value(1));
    const { version } = await first.compareAndSet('b', 0, value(2));
    await first.compareAndSet('b', version, undefined);
    await first.close();
    expect(journal.isClosed).toBe(true);
    const { coordinator: second } = await open({ journal });
    expect(await second.get('a')).toMatchObject({ value: value(1), version: 1 });
    expect(await second.get('b')).toEqual({ value: undefined, version: 0, asOf: 3 });
    for (const key of ['a', 'b', 'never set']) {
      const watch = second.watch(key, { after: 0 });
      await expect(watch.next()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HISTORY_GONE' });
    }
    const { asOf } = await second.get('a');
    const watch = second.watch('a', { after: asOf });
    expect((await second.compareAndSet('a', 1, value(3))).version).toBe(4);
    expect((await watch.next()).value.version).toBe(4);
  });

  test('what the journal refuses was not asked for, and the next one is served', async () => {
    const journal = new TestJournal();
    const { coordinator } = await open({ journal });
    const refusal = new Error('disk full');
    journal.proceed = Promise.reject(refusal);
    await expect(coordinator.compareAndSet('a', 0, value(1))).rejects.toBe(refusal);
    expect(await coordinator.get('a')).toMatchObject({ version: 0 });
    journal.proceed = Promise.resolve();
    expect(await coordinator.compareAndSet('a', 0, value(1))).toMatchObject({ version: 1 });
  });

  test('a deadline ends the call; what the journal has begun with still happens', async () => {
    const journal = new TestJournal();
    const { time, coordinator } = await open({ journal });
    const gate = deferred<void>();
    journal.proceed = gate.promise;
    const begun = coordinator.compareAndSet('a', 0, value(1), { deadlineMs: 50 });
    const waiting = coordinator.compareAndSet('b', 0, value(1), { deadlineMs: 50 });
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    time.advance(50);
    const late = { code: 'PAIPAI_ERR_DEADLINE' };
    await expect(begun).rejects.toMatchObject(late);
    await expect(waiting).rejects.toMatchObject(late);
    gate.resolve();
    const { version } = await coordinator.compareAndSet('c', 0, value(1)); // Behind both.
    expect(version).toBe(2);
    expect((await coordinator.get('a')).version).toBe(1);
    expect((await coordinator.get('b')).version).toBe(0);
  });

  test('writes do not pile up behind a journal that does not answer', async () => {
    const journal = new TestJournal();
    const { coordinator } = await open({ journal });
    const gate = deferred<void>();
    journal.proceed = gate.promise;
    const begun = coordinator.compareAndSet('a', 0, value(1));
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    const waiting = Array.from({ length: 1_024 }, (_, at) =>
      coordinator.compareAndSet(`${at}`, 0, value(1)),
    );
    const refused = coordinator.compareAndSet('one more', 0, value(1));
    await expect(refused).rejects.toMatchObject({ code: 'PAIPAI_ERR_OVERLOADED' });
    gate.resolve();
    expect((await begun).isSet).toBe(true);
    for (const write of waiting) expect((await write).isSet).toBe(true);
  });

  test('close waits for the write that is under way; those behind it are refused', async () => {
    const journal = new TestJournal();
    const { coordinator } = await open({ journal });
    const gate = deferred<void>();
    journal.proceed = gate.promise;
    const begun = coordinator.compareAndSet('a', 0, value(1));
    const behind = coordinator.compareAndSet('b', 0, value(1));
    const refused = expect(behind).rejects.toMatchObject({ code: 'PAIPAI_ERR_CLOSED' });
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    const closing = coordinator.close();
    expect(journal.isClosed).toBe(false);
    gate.resolve();
    expect((await begun).isSet).toBe(true);
    await Promise.all([refused, closing]);
    expect(journal.kept.map(({ key }) => key)).toEqual(['a']);
    expect(journal.isClosed).toBe(true);
  });
});
