import { expect, test } from 'vitest';
import { loadCode } from './cluster-scenario.mjs';
import { runMapChaos } from './map-scenario.mjs';
import { mapBugs } from './planted-bugs.mjs';
import { withShippedCode } from './shipped-code.mjs';

/** The short form; `npm run test:sim -- --only maps` has more seeds, and with `--seed N` runs a single one again. */

const seedCount = 60;
/** Of the first seeds one that finds the bug. */
const seedsToFind = 300;
/** For sanitized builds and busy machines; nothing here waits for time. */
const timeout = 120_000;

test(`${seedCount} seeds: of clients who change the same data no map names copies that are gone, and none is lost`, {
  timeout,
}, async () => {
  const { violations, stale, kept } = await withShippedCode({}, async (load) => {
    const code = await loadCode(load);
    const all: string[] = [];
    const sums = { stale: 0, kept: 0 };
    for (let seed = 1; seed <= seedCount; seed++) {
      const { violations, counts } = await runMapChaos({ code, seed });
      all.push(...violations.map((violation) => `seed ${seed}: ${violation}`));
      sums.stale += counts['stale'] ?? 0;
      sums.kept += counts['kept'] ?? 0;
    }
    return { violations: all, ...sums };
  });
  expect(violations).toEqual([]);
  // They did come in each other's way.
  expect(stale).toBeGreaterThan(seedCount);
  // And some were read in the end.
  expect(kept).toBeGreaterThan(seedCount / 6);
});

test('a stale shard map that is accepted is found', { timeout }, async () => {
  const bug = mapBugs.find(({ name }) => name === 'a stale shard map is accepted');
  if (bug === undefined) throw new Error('there is no such planted bug');
  const foundBy = await withShippedCode({ bug }, async (load) => {
    const code = await loadCode(load);
    for (let seed = 1; seed <= seedsToFind; seed++) {
      if ((await runMapChaos({ code, seed })).violations.length > 0) return seed;
    }
    return Infinity;
  });
  expect(foundBy).toBeLessThanOrEqual(seedsToFind);
});
