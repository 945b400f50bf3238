import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Coordinator } from '../../../dist/coordination/coordinator.js';
import { bytes, describeBackends, startWorld } from './worlds.js';

/** All keys with the prefix, by as many calls as it takes. */
async function listAll(one: Coordinator, prefix: string, limit: number): Promise<string[]> {
  const all: string[] = [];
  for (;;) {
    const { keys, isComplete } = await one.list(prefix, { limit, after: all.at(-1) });
    all.push(...keys.map(({ key }) => key));
    if (isComplete) return all;
    expect(keys.length).toBe(limit);
  }
}

describeBackends((backend) => {
  test('tells the keys with a prefix, with their versions, by the order of their bytes', async () => {
    const { one, other } = await startWorld(backend, 2);
    // By UTF-16 the last two would change places.
    const keys = ['a', 'a/', 'a/1', 'a/10', 'a/2', 'a/\uff5e', 'a/\u{1f600}', 'b'];
    const versions = new Map<string, number>();
    for (const key of [...keys].reverse()) {
      versions.set(key, (await one.compareAndSet(key, 0, bytes(key))).version);
    }
    const expected = keys.map((key) => ({ key, version: versions.get(key) }));
    expect(await other.list('a/')).toEqual({ keys: expected.slice(1, -1), isComplete: true });
    expect(await other.list('')).toEqual({ keys: expected, isComplete: true });
    expect(await other.list('c')).toEqual({ keys: [], isComplete: true });
  });

  test('a key that was deleted is not among them', async () => {
    const { one } = await startWorld(backend);
    const { version } = await one.compareAndSet('a', 0, bytes('1'));
    await one.compareAndSet('b', 0, bytes('1'));
    await one.compareAndSet('a', version, undefined);
    expect((await one.list('')).keys.map(({ key }) => key)).toEqual(['b']);
  });

  test('any set of keys in pages of any size', async () => {
    const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key, { maxLength: 12 }),
        key,
        fc.integer({ min: 1, max: 4 }),
        async (keys, prefix, limit) => {
          const { one, close } = await startWorld(backend);
          await Promise.all(keys.map((key) => one.compareAndSet(key, 0, bytes('1'))));
          const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
          expect(await listAll(one, '', limit)).toEqual(sorted);
          const first = [...prefix][0]!;
          const found = sorted.filter((key) => key.startsWith(first));
          expect(await listAll(one, first, limit)).toEqual(found);
          await close();
        },
      ),
      { numRuns: Math.min(50, backend.runs) },
    );
  });

  test.each([
    ['a prefix that is no text', 1, {}],
    ['half a character', '\ud800', {}],
    ['a limit of 0', '', { limit: 0 }],
    ['too many at once', '', { limit: 1_001 }],
    ['an empty key to begin behind', '', { after: '' }],
  ])('%s is refused', async (_, prefix, options) => {
    const { one } = await startWorld(backend);
    const listing = one.list(prefix as string, options);
    await expect(listing).rejects.toMatchObject({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' });
  });
});
