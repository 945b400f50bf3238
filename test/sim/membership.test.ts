import { describe, expect, test } from 'vitest';
import { Swim } from '../../dist/cluster/membership/swim.js';
import { membershipBugs } from './planted-bugs.mjs';
import { measureAgreement, measureQuiet, measureStalls, runChaos } from './scenarios.mjs';
import { withShippedCode } from './shipped-code.mjs';

/** The short form; `node test/sim/run.mjs` has the long one, and runs a single seed again. */

const chaosSeeds = Array.from({ length: 10 }, (_, index) => index + 1);
const nodesOf = (seed: number): number => 3 + (seed % 7);

test.each(chaosSeeds)('seed %i: after every kind of trouble all agree again', (seed) => {
  const net = runChaos({ Swim, seed, nodeCount: nodesOf(seed) });
  expect(net.violations).toEqual([]);
});

test('one seed, one run', () => {
  const run = (seed: number) => measureQuiet({ Swim, seed, nodeCount: 5, virtualMs: 60_000 });
  const { net: _, ...first } = run(1);
  const { net: _again, ...again } = run(1);
  const { net: _other, ...other } = run(2);
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
});

test('30 nodes at 5 % loss agree on a join and on a crash in time', () => {
  const { net, joinMs, crashMs, silentCrashMs } = measureAgreement({
    Swim,
    seed: 1,
    nodeCount: 30,
    rounds: 2,
  });
  expect(net.violations).toEqual([]);
  expect(Math.max(...joinMs, ...crashMs)).toBeLessThan(5_000);
  // The stall of 5 s that is forgiven, and the way of the news.
  expect(Math.max(...silentCrashMs)).toBeLessThan(12_000);
});

test('nobody who stands still for up to 5 s is buried', () => {
  const figures = measureStalls({
    Swim,
    seed: 1,
    nodeCount: 20,
    stallShare: 0.2,
    virtualMs: 60_000,
  });
  expect(figures.falseDeaths).toBe(0);
});

describe('a planted bug is found', () => {
  test.each(membershipBugs)('$name', async (bug) => {
    const foundBy = await withShippedCode({ bug, withWorld: false }, async (load) => {
      const { Swim: Buggy } = (await load('cluster/membership/swim.js')) as { Swim: typeof Swim };
      for (let seed = 1; seed <= 40; seed++) {
        const net = runChaos({ Swim: Buggy, seed, nodeCount: nodesOf(seed) });
        if (net.violations.length > 0) return seed;
      }
      return Infinity;
    });
    expect(foundBy).toBeLessThanOrEqual(40);
  });
});
