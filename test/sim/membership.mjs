// Membership of many simulated nodes, with its figures: npm run test:sim -- [--seed N] [--nodes N] [--only NAME] …
// One seed gives the same run each time.

import { parseArgs } from 'node:util';
import { Swim } from '../../dist/cluster/membership/swim.js';
import { measureAgreement, measureQuiet, measureStalls, runChaos } from './scenarios.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    nodes: { type: 'string', default: '100' },
    /** agreement, quiet, stalls, traffic or chaos; all of them without it. */
    only: { type: 'string' },
    rounds: { type: 'string', default: '10' },
    /** Length of `quiet` in virtual minutes. */
    minutes: { type: 'string', default: '10' },
    /** Shortest suspicion in milliseconds, instead of the one that forgives a stall of 5 s. */
    suspicion: { type: 'string' },
    /** How many seeds of chaos, from `seed` on. */
    seeds: { type: 'string', default: '100' },
  },
});
const seed = Number(values.seed);
const nodeCount = Number(values.nodes);
const parameters =
  values.suspicion === undefined
    ? {}
    : { suspicionLeastMs: Number(values.suspicion), suspicionFactor: 0 };

/** What Lifeguard adds, taken out: plain SWIM with a fixed suspicion of the same shortest length. */
const withoutLocalHealth = { healthScoreMax: 0, suspicionMaxFactor: 1 };

const scenarios = {
  agreement() {
    const { net, ...figures } = measureAgreement({
      Swim,
      seed,
      nodeCount,
      parameters,
      rounds: Number(values.rounds),
    });
    for (const [name, list] of Object.entries(figures)) {
      const sorted = list.toSorted((a, b) => a - b);
      const median = sorted[Math.floor(sorted.length / 2)];
      console.log(
        `  ${name}: median ${median.toFixed(0)}, most ${sorted.at(-1).toFixed(0)} (${sorted.length})`,
      );
    }
    return net;
  },
  quiet() {
    const virtualMs = Number(values.minutes) * 60_000;
    const { net, ...figures } = measureQuiet({ Swim, seed, nodeCount, parameters, virtualMs });
    show(figures);
    net.expectNoFalseDeath();
    return net;
  },
  stalls() {
    const virtualMs = Number(values.minutes) * 60_000;
    for (const [name, more] of [
      ['with local health', {}],
      ['without', withoutLocalHealth],
    ]) {
      const { net: _, ...figures } = measureStalls({
        Swim,
        seed,
        nodeCount,
        virtualMs,
        parameters: { ...parameters, ...more },
      });
      console.log(`  ${name}:`);
      show(figures);
    }
  },
  traffic() {
    for (const count of [10, 50, 100, 200, 500]) {
      const { net: _, ...figures } = measureQuiet({
        Swim,
        seed,
        nodeCount: count,
        virtualMs: 60_000,
      });
      console.log(`  ${count} nodes:`);
      show(figures);
    }
  },
  chaos() {
    let failed = 0;
    for (let next = seed; next < seed + Number(values.seeds); next++) {
      const net = runChaos({ Swim, seed: next, nodeCount: 3 + (next % 7) });
      if (net.violations.length === 0) continue;
      failed++;
      console.log(`  seed ${next}: ${net.violations.slice(0, 3).join('; ')}`);
    }
    console.log(`  ${values.seeds} seeds, ${failed} with a violation`);
    if (failed > 0) process.exitCode = 1;
  },
};

function show(figures) {
  for (const [name, value] of Object.entries(figures)) {
    console.log(`    ${name}: ${Number.isInteger(value) ? value : value.toFixed(1)}`);
  }
}

for (const [name, run] of Object.entries(scenarios)) {
  if (values.only !== undefined && values.only !== name) continue;
  console.log(name);
  const net = run();
  for (const sentence of net?.violations.slice(0, 10) ?? []) {
    console.log(`  wrong: ${sentence}`);
    process.exitCode = 1;
  }
}
