// Simulations of the shipped code, with their figures: npm run test:sim -- [--seed N] [--only NAME] [--seeds COUNT] [--notes] …
// One seed gives the same run each time: with --seed alone `chaos`, `cluster`, `maps`, `quorum` and `transactions` run that seed, without it the first hundred.
//
//   agreement, quiet, stalls, traffic    membership of many nodes
//   chaos                                membership of 3 to 9 nodes, in every kind of trouble
//   cluster                              a client with 3 to 9 nodes: transfer, reading, repair, processing, MapReduce in trouble
//   maps                                 three clients of 3 to 5 nodes who change and use the same data
//   quorum                               three clients of 3 or 5 nodes that agree by a quorum; with --long a million seeds
//   transactions                         three clients who change records on three nodes
//   steps                                the same, and one crash at each step in turn: --seeds says how many
//   bugs                                 how many seeds it takes to find each planted bug; only when it is named
//
// Many seeds of `quorum` are split over processes, as many as there are CPUs.
// --json ends with one line of JSON. The exit code is 1 when something was wrong.

import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Swim } from '../../dist/cluster/membership/swim.js';
import { loadCode, runClusterChaos } from './cluster-scenario.mjs';
import { runMapChaos } from './map-scenario.mjs';
import { clusterBugs, mapBugs, membershipBugs, quorumBugs } from './planted-bugs.mjs';
import { loadQuorumCode, runQuorumChaos } from './quorum-scenario.mjs';
import { measureAgreement, measureQuiet, measureStalls, runChaos } from './scenarios.mjs';
import { withShippedCode } from './shipped-code.mjs';
import { transactionBugs } from './transaction-bugs.mjs';
import { loadTransactionCode, runTransactionChaos } from './transactions-scenario.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    nodes: { type: 'string', default: '100' },
    /** One of them; without it all but `bugs`. */
    only: { type: 'string' },
    rounds: { type: 'string', default: '10' },
    /** Length of `quiet` and `stalls` in virtual minutes. */
    minutes: { type: 'string', default: '10' },
    /** Shortest suspicion in milliseconds, instead of the one that forgives a stall of 5 s. */
    suspicion: { type: 'string' },
    /** How many seeds of `chaos`, `cluster`, `maps`, `quorum` and `bugs`, from `seed` on. */
    seeds: { type: 'string' },
    /** A million of `quorum`. */
    long: { type: 'boolean', default: false },
    /** Of `bugs` those with this text in their name. */
    bug: { type: 'string', default: '' },
    /** Tells everything that happens in `cluster`, `maps` and `quorum`. */
    notes: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? 1);
const nodeCount = Number(values.nodes);
const parameters =
  values.suspicion === undefined
    ? {}
    : { suspicionLeastMs: Number(values.suspicion), suspicionFactor: 0 };
const figuresOf = {};
/** So few that a process tells of them within minutes. */
const seedsPerProcess = 10_000;

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
      const most = sorted.at(-1);
      figuresOf.agreement = { ...figuresOf.agreement, [name]: { median, most } };
      console.log(
        `  ${name}: median ${median.toFixed(0)}, most ${most.toFixed(0)} (${sorted.length})`,
      );
    }
    return net;
  },
  quiet() {
    const virtualMs = Number(values.minutes) * 60_000;
    const { net, ...figures } = measureQuiet({ Swim, seed, nodeCount, parameters, virtualMs });
    show(figures);
    figuresOf.quiet = figures;
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
      figuresOf.stalls = { ...figuresOf.stalls, [name]: figures };
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
      figuresOf.traffic = { ...figuresOf.traffic, [count]: figures };
    }
  },
  async chaos() {
    await runSeeds('chaos', seedCount(100), (next) => membershipSeed(Swim, next));
  },
  async cluster() {
    await withShippedCode({}, async (load) => {
      const code = await loadCode(load);
      const sums = await runSeeds('cluster', seedCount(100), (next) => clusterSeed(code, next));
      showSums(sums);
    });
  },
  async maps() {
    await withShippedCode({}, async (load) => {
      const code = await loadCode(load);
      const sums = await runSeeds('maps', seedCount(100), (next) => mapSeed(code, next));
      showSums(sums);
    });
  },
  async quorum() {
    const count = seedCount(values.long ? 1_000_000 : 100);
    if (count > seedsPerProcess) {
      showSums(await splitSeeds('quorum', count));
      return;
    }
    const code = await loadQuorumCode((file) => import(`../../dist/${file}`));
    showSums(await runSeeds('quorum', count, (next) => quorumSeed(code, next)));
  },
  async transactions() {
    const code = await loadTransactionCode((file) => import(`../../dist/${file}`));
    const runSeed = (next) => transactionSeed(code, next);
    showSums(await runSeeds('transactions', seedCount(100), runSeed));
  },
  async steps() {
    const code = await loadTransactionCode((file) => import(`../../dist/${file}`));
    const runStep = (next) => transactionSeed(code, 1, next - seed);
    showSums(await runSeeds('steps', seedCount(100), runStep));
  },
  async bugs() {
    const plans = [
      ...membershipBugs.map((bug) => ({ bug, withWorld: false, seedRunOf: membershipRun })),
      ...clusterBugs.map((bug) => ({ bug, withWorld: true, seedRunOf: clusterRun })),
      ...mapBugs.map((bug) => ({ bug, withWorld: true, seedRunOf: mapRun })),
      ...quorumBugs.map((bug) => ({ bug, withWorld: false, seedRunOf: quorumRun })),
      ...transactionBugs.map((bug) => ({ bug, withWorld: false, seedRunOf: transactionRun })),
    ];
    const found = {};
    for (const { bug, withWorld, seedRunOf } of plans) {
      if (!bug.name.includes(values.bug)) continue;
      const count = await withShippedCode({ bug, withWorld }, async (load) =>
        seedsToFind(await seedRunOf(load)),
      );
      found[bug.name] = count;
      console.log(`  ${bug.name}: ${count === null ? 'not found' : `found after ${count} seeds`}`);
      if (count === null) process.exitCode = 1;
    }
    figuresOf.bugs = found;
  },
};

function seedCount(otherwise) {
  return Number(values.seeds ?? (values.seed === undefined ? otherwise : 1));
}

function membershipSeed(TheSwim, next) {
  return runChaos({ Swim: TheSwim, seed: next, nodeCount: 3 + (next % 7) });
}

async function membershipRun(load) {
  const { Swim: Buggy } = await load('cluster/membership/swim.js');
  return (next) => membershipSeed(Buggy, next);
}

function clusterSeed(code, next) {
  const note = values.notes ? { note: (sentence) => console.log(`    ${sentence}`) } : {};
  return runClusterChaos({ code, seed: next, ...note });
}

async function clusterRun(load) {
  const code = await loadCode(load);
  return (next) => clusterSeed(code, next);
}

function mapSeed(code, next) {
  const note = values.notes ? { note: (sentence) => console.log(`    ${sentence}`) } : {};
  return runMapChaos({ code, seed: next, ...note });
}

async function mapRun(load) {
  const code = await loadCode(load);
  return (next) => mapSeed(code, next);
}

function quorumSeed(code, next) {
  const note = values.notes ? { note: (sentence) => console.log(`    ${sentence}`) } : {};
  return runQuorumChaos({ code, seed: next, ...note });
}

async function quorumRun(load) {
  const code = await loadQuorumCode(load);
  return (next) => quorumSeed(code, next);
}

function transactionSeed(code, next, fatalStep) {
  const note = values.notes ? { note: (sentence) => console.log(`    ${sentence}`) } : {};
  return runTransactionChaos({ code, seed: next, fatalStep, ...note });
}

async function transactionRun(load) {
  const code = await loadTransactionCode(load);
  return (next) => transactionSeed(code, next);
}

/** Seeds up to the first with a violation; null when there is none. */
async function seedsToFind(runSeed) {
  for (let count = 1; count <= seedCount(10_000); count++) {
    const { violations } = await runSeed(seed + count - 1);
    if (violations.length > 0) return count;
  }
  return null;
}

async function runSeeds(name, count, runSeed) {
  const violating = [];
  const sums = {};
  for (let next = seed; next < seed + count; next++) {
    const { violations, counts = {} } = await runSeed(next);
    add(counts, sums);
    if (violations.length === 0) continue;
    violating.push(next);
    console.log(`  seed ${next}: ${violations.slice(0, 3).join('; ')}`);
    console.log(`  again: npm run test:sim -- --only ${name} --seed ${next}`);
  }
  tell(name, count, violating, sums);
  return sums;
}

/** As `runSeeds`, in processes of their own. */
async function splitSeeds(name, count) {
  const violating = [];
  const sums = {};
  let begun = 0;
  let done = 0;
  const runSome = async () => {
    while (begun < count) {
      const some = Math.min(seedsPerProcess, count - begun);
      const first = seed + begun;
      begun += some;
      const { seeds, violating: found, ...counts } = await seedsElsewhere(name, first, some);
      violating.push(...found);
      add(counts, sums);
      done += seeds;
      if (done % (10 * seedsPerProcess) === 0) console.log(`  ${done} of ${count} seeds`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, runSome));
  tell(name, count, violating, sums);
  return sums;
}

/** What that process says of its figures; of violations it tells itself. */
async function seedsElsewhere(name, first, count) {
  const file = fileURLToPath(import.meta.url);
  const args = [file, '--json', '--only', name, '--seed', `${first}`, '--seeds', `${count}`];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = (await text(child.stdout)).trimEnd().split('\n');
  const figures = lines.pop();
  for (const line of lines) if (/^ {2}(seed|again)/.test(line)) console.log(line);
  return JSON.parse(figures)[name];
}

function add(counts, sums) {
  for (const [what, number] of Object.entries(counts)) sums[what] = (sums[what] ?? 0) + number;
}

function tell(name, count, violating, sums) {
  console.log(`  ${count} seeds, ${violating.length} with a violation`);
  figuresOf[name] = { seeds: count, violating, ...sums };
  if (violating.length > 0) process.exitCode = 1;
}

function showSums(sums) {
  const list = Object.entries(sums).map(([name, sum]) => `${sum} ${name}`);
  console.log(`  ${list.join(', ')}`);
}

function show(figures) {
  for (const [name, value] of Object.entries(figures)) {
    console.log(`    ${name}: ${Number.isInteger(value) ? value : value.toFixed(1)}`);
  }
}

for (const [name, run] of Object.entries(scenarios)) {
  if (values.only === undefined ? name === 'bugs' : name !== values.only) continue;
  console.log(name);
  const net = await run();
  for (const sentence of net?.violations.slice(0, 10) ?? []) {
    console.log(`  wrong: ${sentence}`);
    process.exitCode = 1;
  }
}
if (values.json) console.log(JSON.stringify(figuresOf));
