import { expect, test } from 'vitest';
import { checkPlaces, withShippedCode } from './shipped-code.mjs';
import { transactionBugs } from './transaction-bugs.mjs';
import { loadTransactionCode, runTransactionChaos } from './transactions-scenario.mjs';

/** The short form; `npm run test:sim -- --only transactions` has more seeds, and with `--seed N` runs a single one again. */

const seedCount = 60;
/** Of the first seeds one that finds the bug. */
const seedsToFind = 30;
/** For sanitized builds and busy machines; nothing here waits for time. */
const timeout = 180_000;

test(`${seedCount} seeds: each transaction is done whole or not at all, all of them have an order, and nothing stays in doubt`, {
  timeout,
}, async () => {
  const code = await loadTransactionCode((file) => import(`../../dist/${file}`));
  const all: string[] = [];
  const sums: Record<string, number> = {};
  for (let seed = 1; seed <= seedCount; seed++) {
    const { violations, counts } = await runTransactionChaos({ code, seed });
    all.push(...violations.map((violation) => `seed ${seed}: ${violation}`));
    for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
  }
  expect(all).toEqual([]);
  // They came in each other's way, and got on all the same.
  expect(sums['unknown']).toBeGreaterThan(seedCount / 2);
  expect(sums['committed']).toBeGreaterThan(seedCount * 10);
});

test.each([
  'a node promises before its disk has kept it',
  'what is committed is let go before it is changed',
  'a commit is forgotten when the first node has followed it',
  'who only reads does not look again',
])('it is found when %s', { timeout }, async (name) => {
  const bug = transactionBugs.find((one) => one.name === name);
  if (bug === undefined) throw new Error('there is no such planted bug');
  const foundBy = await withShippedCode({ bug, withWorld: false }, async (load) => {
    const code = await loadTransactionCode(load);
    for (let seed = 1; seed <= seedsToFind; seed++) {
      if ((await runTransactionChaos({ code, seed })).violations.length > 0) return seed;
    }
    return Infinity;
  });
  expect(foundBy).toBeLessThanOrEqual(seedsToFind);
});

test('every planted bug has its place', () => {
  for (const bug of transactionBugs) checkPlaces(bug);
});
