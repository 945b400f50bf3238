import { expect, test } from 'vitest';
import { quorumBugs } from './planted-bugs.mjs';
import { loadQuorumCode, runQuorumChaos } from './quorum-scenario.mjs';
import { checkPlaces, withShippedCode } from './shipped-code.mjs';

/** The short form; `npm run test:sim -- --only quorum` has more seeds, and with `--seed N` runs a single one again. */

const seedCount = 300;
/** Of the first seeds one that finds the bug. */
const seedsToFind = 300;
/** For sanitized builds and busy machines; nothing here waits for time. */
const timeout = 120_000;

test(`${seedCount} seeds: nothing that was agreed on is forgotten, all answers have an order, and most are given`, {
  timeout,
}, async () => {
  const code = await loadQuorumCode((file) => import(`../../dist/${file}`));
  const all: string[] = [];
  const sums: Record<string, number> = {};
  for (let seed = 1; seed <= seedCount; seed++) {
    const { violations, counts } = await runQuorumChaos({ code, seed });
    all.push(...violations.map((violation) => `seed ${seed}: ${violation}`));
    for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
  }
  expect(all).toEqual([]);
  // They came in each other's way, and got on all the same.
  expect(sums['unknown']).toBeGreaterThan(seedCount / 10);
  expect(sums['answered']).toBeGreaterThan(seedCount * 10);
});

test.each([
  'a promise is not kept',
  'one member is a majority',
  'a look asks nobody',
  'a new member votes before it has what its epoch begins with',
  'new members vote before they were agreed on',
])('it is found when %s', { timeout }, async (name) => {
  const bug = quorumBugs.find((one) => one.name === name);
  if (bug === undefined) throw new Error('there is no such planted bug');
  const foundBy = await withShippedCode({ bug, withWorld: false }, async (load) => {
    const code = await loadQuorumCode(load);
    for (let seed = 1; seed <= seedsToFind; seed++) {
      if ((await runQuorumChaos({ code, seed })).violations.length > 0) return seed;
    }
    return Infinity;
  });
  expect(foundBy).toBeLessThanOrEqual(seedsToFind);
});

test('every planted bug has its place', () => {
  for (const bug of quorumBugs) checkPlaces(bug);
});
