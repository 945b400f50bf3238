import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Change, Coordinator } from '../../../dist/coordination/coordinator.js';
import { flawOf, type RecordedCall } from '../../support/coordinator-history.js';
import { bytes, describeBackends, startWorld } from './worlds.js';

describeBackends((backend) => {
  test('concurrent calls have one history, and every watch tells it without a gap', async () => {
    await fc.assert(
      fc.asyncProperty(stories, async ({ clients: programs, watches }) => {
        const { clients, one, close } = await startWorld(backend, programs.length);
        await tell(one, clients, programs, watches);
        await close();
      }),
      { numRuns: backend.runs },
    );
  }, 120_000);
});

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
    // One more ends them.
    const { version: last } = await one.get(key);
    const end = await one.compareAndSet(key, last, bytes('end'));
    const changes: Change[] = [];
    const whole = one.watch(key, { after: 0 });
    for await (const change of whole) {
      if (change.version === end.version) break;
      changes.push(change);
    }
    expect(flawOf(calls.get(key)!, changes)).toBeUndefined();
    for (const { asOf, changesMax, told, watch, reading } of watched.filter((w) => w.key === key)) {
      const expected = changes.filter(({ version }) => version > asOf).slice(0, changesMax);
      while (told.length < expected.length) await pass(1);
      await watch.return();
      await reading;
      expect(told.filter(({ version }) => version < end.version)).toEqual(expected);
    }
  }
}
