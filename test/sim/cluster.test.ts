import { describe, expect, test } from 'vitest';
import { loadCode, runClusterChaos } from './cluster-scenario.mjs';
import { clusterBugs, mapBugs, membershipBugs } from './planted-bugs.mjs';
import { checkPlaces, withShippedCode } from './shipped-code.mjs';

/** The short form; `npm run accept -- cluster` has more seeds, and `npm run test:sim -- --only cluster --seed N` runs a single one again. */

const seedCount = 20;
/** For sanitized builds and busy machines; nothing here waits for time. */
const timeout = 120_000;

test(`${seedCount} seeds: in every kind of trouble, what was confirmed is there and counts once`, {
  timeout,
}, async () => {
  const violations = await withShippedCode({}, async (load) => {
    const code = await loadCode(load);
    const all: string[] = [];
    for (let seed = 1; seed <= seedCount; seed++) {
      const { violations } = await runClusterChaos({ code, seed });
      all.push(...violations.map((violation) => `seed ${seed}: ${violation}`));
    }
    return all;
  });
  expect(violations).toEqual([]);
});

test('one seed, one run', { timeout }, async () => {
  await withShippedCode({}, async (load) => {
    const code = await loadCode(load);
    const notesOf = async (seed: number): Promise<string[]> => {
      const notes: string[] = [];
      await runClusterChaos({ code, seed, note: (sentence) => notes.push(sentence) });
      return notes;
    };
    const first = await notesOf(3);
    expect(await notesOf(3)).toEqual(first);
    expect(await notesOf(4)).not.toEqual(first);
  });
});

test.each([...membershipBugs, ...clusterBugs, ...mapBugs])(
  'there is a place to plant: $name',
  (bug) => {
    expect(() => checkPlaces(bug)).not.toThrow();
  },
);

/** One for each part; `npm run accept -- cluster --full` looks for all of them. */
const quicklyFound = [
  'a shard is confirmed before it is stored',
  'the window of shards is off by one',
  'a replica is counted twice',
  'room is kept in the window of a link that is gone',
  'a task that is done again counts twice',
];

describe('a planted bug is found', { timeout }, () => {
  test.each(quicklyFound)('%s', async (name) => {
    const bug = clusterBugs.find((one) => one.name === name);
    if (bug === undefined) throw new Error(`there is no planted bug: ${name}`);
    const foundBy = await withShippedCode({ bug }, async (load) => {
      const code = await loadCode(load);
      for (let seed = 1; seed <= 100; seed++) {
        const { violations } = await runClusterChaos({ code, seed });
        if (violations.length > 0) return seed;
      }
      return Infinity;
    });
    expect(foundBy).toBeLessThanOrEqual(100);
  });
});
