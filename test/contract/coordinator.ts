import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type Change,
  type Coordinator,
  type KeyState,
  keyBytesMax,
  valueBytesMax,
} from '../../dist/coordination/coordinator.js';
import { flawOf, type RecordedCall } from '../support/coordinator-history.js';

export interface CoordinatorWorld {
  /** As many clients of one empty table as asked for; they may be the same object. */
  connect(count: number): Promise<Coordinator[]>;
  /** Has the table forget all changes there were; what keys hold stays. */
  forgetHistory(): Promise<void>;
  close(): Promise<void>;
}

export interface CoordinatorContract {
  readonly makeWorld: () => CoordinatorWorld;
  /** Of each property; a backend in other processes takes fewer. */
  readonly runs: number;
}

const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString();
const bytes = (value: string): Uint8Array => Buffer.from(value);

/** What every backend promises above `coordinator.ts`. */
export function coordinatorContract(name: string, { makeWorld, runs }: CoordinatorContract): void {
  const worlds: CoordinatorWorld[] = [];

  afterEach(async () => {
    await Promise.all(worlds.splice(0).map((world) => world.close()));
  });

  async function start(count = 1) {
    const world = makeWorld();
    worlds.push(world);
    const clients = await world.connect(count);
    return { world, clients, one: clients[0]!, other: clients.at(-1)! };
  }

  /** Sets the key one time after the other. */
  async function setAll(coordinator: Coordinator, key: string, values: string[]) {
    let state: KeyState = await coordinator.get(key);
    for (const value of values) {
      const result = await coordinator.compareAndSet(key, state.version, bytes(value));
      expect(result.isSet).toBe(true);
      state = result;
    }
    return state;
  }

  describe(name, () => {
    describe('get and compareAndSet', () => {
      test('a value is set, read, replaced and deleted', async () => {
        const { one, other } = await start(2);
        expect(await one.get('a')).toMatchObject({ value: undefined, version: 0 });
        const first = await one.compareAndSet('a', 0, bytes('1'));
        expect([first.isSet, text(first.value)]).toEqual([true, '1']);
        expect(first.version).toBeGreaterThan(0);
        expect(await other.get('a')).toEqual({
          value: new Uint8Array(bytes('1')),
          version: first.version,
          asOf: expect.any(Number),
        });
        const second = await other.compareAndSet('a', first.version, bytes('2'));
        expect(second.isSet).toBe(true);
        expect(second.version).toBeGreaterThan(first.version);
        const deleted = await one.compareAndSet('a', second.version, undefined);
        expect(deleted).toMatchObject({ isSet: true, value: undefined, version: 0 });
        expect(deleted.asOf).toBeGreaterThan(second.version);
        expect(await other.get('a')).toMatchObject({ value: undefined, version: 0 });
      });

      test('who expects something else is told what there is, and changes nothing', async () => {
        const { one, other } = await start(2);
        const { version } = await setAll(one, 'a', ['1']);
        for (const expected of [0, version - 1, version + 1]) {
          if (expected === version || expected < 0) continue;
          const result = await other.compareAndSet('a', expected, bytes('2'));
          expect([result.isSet, text(result.value), result.version]).toEqual([false, '1', version]);
        }
        const absent = await other.compareAndSet('b', version, bytes('2'));
        expect(absent).toMatchObject({ isSet: false, value: undefined, version: 0 });
        expect(text((await one.get('a')).value)).toBe('1');
      });

      test('a version never comes again, also after the key was deleted', async () => {
        const { one, world } = await start();
        const seen = new Set<number>();
        for (let round = 0; round < 3; round++) {
          const { version } = await setAll(one, 'a', ['1', '2']);
          expect(seen.has(version)).toBe(false);
          seen.add(version);
          await one.compareAndSet('a', version, undefined);
          await world.forgetHistory();
          expect((await one.compareAndSet('a', version, bytes('late'))).isSet).toBe(false);
        }
      });

      test('keys are apart from each other', async () => {
        const { one } = await start();
        const keys = [
          'a',
          'A',
          'a/b',
          'a b',
          'a\u0000',
          'é',
          'e\u0301',
          '東京',
          'x'.repeat(keyBytesMax),
        ];
        for (const key of keys) await setAll(one, key, [`of ${key}`]);
        for (const key of keys) expect(text((await one.get(key)).value)).toBe(`of ${key}`);
      });

      test('values of 0 bytes and of the largest size', async () => {
        const { one } = await start();
        const empty = await one.compareAndSet('a', 0, new Uint8Array(0));
        expect(empty).toMatchObject({ isSet: true, value: new Uint8Array(0) });
        const large = new Uint8Array(valueBytesMax).map((_, at) => at * 7);
        await one.compareAndSet('a', empty.version, large);
        expect(Buffer.compare((await one.get('a')).value!, large)).toBe(0);
      });

      test('bytes are the caller’s again at once, and those that come out are the receiver’s', async () => {
        const { one } = await start();
        const value = bytes('1');
        const writing = one.compareAndSet('a', 0, value);
        value[0] = 0x32;
        (await writing).value![0] = 0x33;
        (await one.get('a')).value![0] = 0x34;
        const watch = one.watch('a', { after: 0 });
        (await watch.next()).value.value[0] = 0x35;
        await watch.return();
        expect(text((await one.get('a')).value)).toBe('1');
      });

      test('of many who create a key at once one does', async () => {
        const { clients } = await start(8);
        const results = await Promise.all(
          clients.map((client, at) => client.compareAndSet('a', 0, bytes(`${at}`))),
        );
        const winners = results.filter(({ isSet }) => isSet);
        expect(winners.length).toBe(1);
        for (const { value } of results) expect(value).toEqual(winners[0]?.value);
      });

      test('many who count together lose nothing', async () => {
        const { clients, one } = await start(5);
        await Promise.all(
          clients.map(async (client) => {
            for (let counted = 0; counted < 10; ) {
              const { value, version } = await client.get('sum');
              const sum = bytes(`${Number(text(value) ?? 0) + 1}`);
              if ((await client.compareAndSet('sum', version, sum)).isSet) counted++;
            }
          }),
        );
        expect(text((await one.get('sum')).value)).toBe('50');
      });
    });

    describe('watch', () => {
      test('tells of what was and of what comes, in order', async () => {
        const { one, other } = await start(2);
        const { version } = await setAll(one, 'a', ['1', '2']);
        await setAll(one, 'b', ['not of a']);
        const watch = other.watch('a', { after: 0 });
        const deleting = one.compareAndSet('a', version, undefined);
        const told: Change[] = [];
        for await (const change of watch) {
          told.push(change);
          if (told.length === 3) await setAll(one, 'a', ['3']);
          if (told.length === 4) break;
        }
        expect((await deleting).isSet).toBe(true);
        expect(told.map(({ value }) => text(value))).toEqual(['1', '2', undefined, '3']);
        expect(told.every(({ key }) => key === 'a')).toBe(true);
        const versions = told.map(({ version }) => version);
        expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
        expect(await watch.next()).toEqual({ done: true, value: undefined });
      });

      test('begins behind a state, of a key that is there or is not', async () => {
        const { one } = await start();
        const absent = await one.get('a');
        const fromAbsent = one.watch('a', { after: absent.asOf });
        const state = await setAll(one, 'a', ['1']);
        const fromState = one.watch('a', { after: state.asOf });
        await setAll(one, 'a', ['2']);
        expect(text((await fromAbsent.next()).value.value)).toBe('1');
        expect(text((await fromAbsent.next()).value.value)).toBe('2');
        expect(text((await fromState.next()).value.value)).toBe('2');
        await Promise.all([fromAbsent.return(), fromState.return()]);
      });

      test('answers several who wait, in their order', async () => {
        const { one } = await start();
        const watch = one.watch('a', { after: 0 });
        const waiting = [watch.next(), watch.next(), watch.next()];
        await setAll(one, 'a', ['1', '2']);
        const told = await Promise.all(waiting.slice(0, 2));
        expect(told.map(({ value }) => text(value.value))).toEqual(['1', '2']);
        await watch.return();
        expect((await waiting[2])?.done).toBe(true);
      });

      test('says so when what it was to tell is gone, and a state gives a fresh start', async () => {
        const { one, world } = await start();
        await setAll(one, 'a', ['1', '2']);
        await world.forgetHistory();
        const late = one.watch('a', { after: 0 });
        await expect(late.next()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HISTORY_GONE' });
        expect((await late.next()).done).toBe(true);
        for (const key of ['a', 'never set']) {
          const { asOf } = await one.get(key);
          const fresh = one.watch(key, { after: asOf });
          await setAll(one, key, ['3']);
          expect(text((await fresh.next()).value.value)).toBe('3');
          await fresh.return();
        }
      });

      test('a key that was forgotten and is set again does not hide what is gone', async () => {
        const { one, world } = await start();
        const { version } = await setAll(one, 'a', ['1']);
        await one.compareAndSet('a', version, undefined);
        await world.forgetHistory();
        await setAll(one, 'a', ['2']);
        const late = one.watch('a', { after: 0 });
        await expect(late.next()).rejects.toMatchObject({ code: 'PAIPAI_ERR_HISTORY_GONE' });
      });

      test('one that waits loses nothing when history is forgotten', async () => {
        const { one, world } = await start();
        const { version } = await setAll(one, 'a', ['1']);
        const { asOf } = await one.compareAndSet('a', version, undefined);
        const watches = ['a', 'b'].map((key) => one.watch(key, { after: asOf }));
        const waiting = watches.map((watch) => watch.next());
        await world.forgetHistory();
        await setAll(one, 'a', ['2']);
        await setAll(one, 'b', ['2']);
        const told = await Promise.all(waiting);
        expect(told.map(({ value }) => text(value.value))).toEqual(['2', '2']);
        for (const watch of watches) await watch.return();
      });

      test('an abort ends it, while it waits, before it begins and while nobody asks', async () => {
        const { one } = await start();
        const aborted = { code: 'PAIPAI_ERR_ABORTED', cause: 'enough' };
        const stop = new AbortController();
        const watch = one.watch('a', { after: 0, signal: stop.signal });
        const unread = one.watch('a', { after: 0, signal: stop.signal });
        const waiting = [watch.next(), watch.next()];
        stop.abort('enough');
        await expect(waiting[0]).rejects.toMatchObject(aborted);
        expect((await waiting[1])?.done).toBe(true);
        await expect(unread.next()).rejects.toMatchObject(aborted);
        expect((await unread.next()).done).toBe(true);
        const stillborn = one.watch('a', { after: 0, signal: stop.signal });
        await expect(stillborn.next()).rejects.toMatchObject(aborted);
      });
    });

    describe('bad input and the end', () => {
      test.each(['', 'x'.repeat(keyBytesMax + 1), '\ud800', 1, null, undefined])(
        '%j is no key',
        async (key) => {
          const { one } = await start();
          const wrong = { code: 'PAIPAI_ERR_INVALID_ARGUMENT' };
          await expect(one.get(key as string)).rejects.toMatchObject(wrong);
          const setting = one.compareAndSet(key as string, 0, bytes('1'));
          await expect(setting).rejects.toMatchObject(wrong);
          expect(() => one.watch(key as string, { after: 0 })).toThrow(
            expect.objectContaining(wrong),
          );
        },
      );

      test('versions, values and options that are none', async () => {
        const { one } = await start();
        const wrong = { code: 'PAIPAI_ERR_INVALID_ARGUMENT' };
        for (const version of [-1, 0.5, NaN, Infinity, '1']) {
          const setting = one.compareAndSet('a', version as number, bytes('1'));
          await expect(setting).rejects.toMatchObject(wrong);
          expect(() => one.watch('a', { after: version as number })).toThrow(
            expect.objectContaining(wrong),
          );
        }
        for (const value of [new Uint8Array(valueBytesMax + 1), 'text', null, undefined]) {
          const setting = one.compareAndSet('a', 0, value as Uint8Array);
          await expect(setting).rejects.toMatchObject(wrong);
        }
        for (const options of [null, { deadlineMs: 0 }, { signal: {} }]) {
          await expect(one.get('a', options as never)).rejects.toMatchObject(wrong);
        }
        expect((await one.get('a')).version).toBe(0);
      });

      test('a call that was aborted before it began did nothing', async () => {
        const { one } = await start();
        const options = { signal: AbortSignal.abort('no') };
        const aborted = { code: 'PAIPAI_ERR_ABORTED', cause: 'no' };
        await expect(one.get('a', options)).rejects.toMatchObject(aborted);
        const setting = one.compareAndSet('a', 0, bytes('1'), options);
        await expect(setting).rejects.toMatchObject(aborted);
        expect((await one.get('a')).version).toBe(0);
      });

      test('after close everything says so, and watches end', async () => {
        const { one } = await start();
        const closed = { code: 'PAIPAI_ERR_CLOSED' };
        const watch = one.watch('a', { after: 0 });
        const unread = one.watch('a', { after: 0 });
        const waiting = watch.next();
        const closing = one.close();
        await expect(waiting).rejects.toMatchObject(closed);
        await Promise.all([closing, one.close()]);
        expect((await watch.next()).done).toBe(true);
        await expect(unread.next()).rejects.toMatchObject(closed);
        await expect(one.get('a')).rejects.toMatchObject(closed);
        await expect(one.compareAndSet('a', 0, bytes('1'))).rejects.toMatchObject(closed);
        expect(() => one.watch('a', { after: 0 })).toThrow(expect.objectContaining(closed));
      });
    });

    describe('properties', () => {
      test('concurrent calls have one history, and every watch tells it without a gap', async () => {
        await fc.assert(
          fc.asyncProperty(stories, async ({ clients: programs, watches }) => {
            const { clients, one, world } = await start(programs.length);
            await tell(one, clients, programs, watches);
            worlds.splice(worlds.indexOf(world), 1);
            await world.close();
          }),
          { numRuns: runs },
        );
      }, 120_000);
    });
  });
}

const keys = ['a', 'b'] as const;
type Key = (typeof keys)[number];

interface Step {
  readonly key: Key;
  readonly what: 'get' | 'set' | 'setFresh' | 'delete';
  /** Turns of the event loop before it. */
  readonly turns: number;
}

interface Watcher {
  readonly key: Key;
  /** Turns before it joins, and before each `next`. */
  readonly joinTurns: number;
  readonly readTurns: number;
  /** It is cancelled after so many changes, in the middle of a `next`. */
  readonly changesMax: number | undefined;
}

const turns = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 6 }));
const key = fc.constantFrom(...keys);
const stories = fc.record({
  clients: fc.array(
    fc.array(
      fc.record<Step>({ key, what: fc.constantFrom('get', 'set', 'setFresh', 'delete'), turns }),
      { maxLength: 12 },
    ),
    { minLength: 1, maxLength: 4 },
  ),
  watches: fc.array(
    fc.record<Watcher>({
      key,
      joinTurns: fc.integer({ min: 0, max: 20 }),
      readTurns: turns,
      changesMax: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
    }),
    { maxLength: 4 },
  ),
});

async function pass(turnCount: number): Promise<void> {
  for (let turn = 0; turn < turnCount; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Has the clients and watchers do what the story says, and checks what they saw. */
async function tell(
  one: Coordinator,
  clients: readonly Coordinator[],
  programs: readonly (readonly Step[])[],
  watchers: readonly Watcher[],
): Promise<void> {
  const calls = new Map<Key, RecordedCall[]>(keys.map((key) => [key, []]));
  let moment = 0;
  const watching = watchers.map(async (watcher) => {
    await pass(watcher.joinTurns);
    const { asOf } = await one.get(watcher.key);
    const watch = one.watch(watcher.key, { after: asOf });
    const told: Change[] = [];
    const reading = (async () => {
      for (;;) {
        await pass(watcher.readTurns);
        if (told.length === watcher.changesMax) void watch.return();
        const { done, value } = await watch.next();
        if (done === true) return;
        told.push(value);
      }
    })();
    return { ...watcher, asOf, watch, told, reading };
  });
  await Promise.all(
    programs.map(async (steps, at) => {
      const client = clients[at]!;
      const known = new Map<Key, number>();
      for (const [stepAt, { key, what, turns }] of steps.entries()) {
        await pass(turns);
        if (what === 'setFresh') known.set(key, (await client.get(key)).version);
        const expectedVersion = known.get(key) ?? 0;
        const isDeleting = what === 'delete' && expectedVersion > 0;
        const value = isDeleting ? undefined : bytes(`${at}.${stepAt}`);
        const startedAt = moment++;
        const result =
          what === 'get'
            ? await client.get(key)
            : await client.compareAndSet(key, expectedVersion, value);
        known.set(key, result.version);
        calls.get(key)!.push({
          startedAt,
          endedAt: moment++,
          result,
          ...(what === 'get' ? {} : { write: { expectedVersion, value } }),
        });
      }
    }),
  );
  const watched = await Promise.all(watching);
  for (const key of keys) {
    const changes: Change[] = [];
    const { asOf } = await one.get(key);
    const whole = one.watch(key, { after: 0 });
    while (asOf > (changes.at(-1)?.version ?? 0)) changes.push((await whole.next()).value);
    await whole.return();
    expect(flawOf(calls.get(key)!, changes)).toBeUndefined();
    for (const { asOf, changesMax, told, watch, reading } of watched.filter((w) => w.key === key)) {
      const expected = changes.filter(({ version }) => version > asOf).slice(0, changesMax);
      while (told.length < expected.length) await pass(1);
      await watch.return();
      await reading;
      expect(told).toEqual(expected);
    }
  }
}
