// The cluster: copies on several nodes, while these are killed, come back, and lose what they had.

import { run, suite } from './support.mjs';

/** Runs a program that prints one JSON object at its end. */
async function report(args) {
  const { code, stdout, stderr } = await run(process.execPath, args, { timeoutMs: 4 * 3_600_000 });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) throw new Error(`ended with ${code}\n${stderr}`.slice(-2_000));
  return { code, result: JSON.parse(line) };
}

/** @param shards and kills: in the short form, and in the full one */
function killed(store, promise, shards, kills) {
  const argumentsOf = (full) => [
    'test/fault/killed-nodes.mjs',
    store,
    String(shards[full ? 1 : 0]),
    String(kills[full ? 1 : 0]),
  ];
  return {
    promise,
    command: (full) => `node ${argumentsOf(full).join(' ')} [SEED]`,
    async run(full, seed) {
      const args = [...argumentsOf(full), ...(seed === undefined ? [] : [seed])];
      const { code, result } = await report(args);
      const { shards, kills, lost, failedTransfers, copiesRepaired, seconds, ...rest } = result;
      const figure = `${shards} shards confirmed with ${rest.replicas} copies each on ${rest.nodeCount} nodes, ${kills} kills, ${lost} data lost; ${failedTransfers} transfers failed and were made again, ${copiesRepaired} copies repaired; ${Math.round(seconds)} s, seed ${rest.seed}`;
      return { pass: code === 0, figure };
    },
  };
}

const cuts = {
  promise: 'a transfer goes on after each cut, and sends again only what was not confirmed',
  command: (full) => `node test/fault/cut-transfers.mjs ${full ? 200 : 20} [SEED]`,
  async run(full, seed) {
    const args = ['test/fault/cut-transfers.mjs', full ? '200' : '20'];
    const { code, result } = await report([...args, ...(seed === undefined ? [] : [seed])]);
    const { transfers, cuts, different, misplaced, resentPerCut, windowBytes, seconds } = result;
    const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);
    const figure = `${transfers} transfers of 64 MiB, ${cuts} cuts, ${different} differ, ${misplaced} shards missing or twice; ${mebibytes(resentPerCut)} MiB sent again for each cut (limit ${mebibytes(windowBytes)}); ${Math.round(seconds)} s, seed ${result.seed}`;
    return { pass: code === 0, figure };
  },
};

/** @param sizes of the program, in the short form and in the full one */
function flipped(promise, program, sizes, figureOf) {
  const argumentsOf = (full) => [`test/fault/${program}.mjs`, ...sizes[full ? 1 : 0].map(String)];
  return {
    promise,
    command: (full) => `node ${argumentsOf(full).join(' ')} [SEED]`,
    async run(full, seed) {
      const args = [...argumentsOf(full), ...(seed === undefined ? [] : [seed])];
      const { code, result } = await report(args);
      const { seconds } = result;
      const figure = `${figureOf(result)}; ${Math.round(seconds)} s, seed ${result.seed}`;
      return { pass: code === 0, figure };
    },
  };
}

function framesFigure({ frames, sessions, work }) {
  const told = ({ flipped, unnoticed, delivered }) =>
    `${flipped} flipped, ${unnoticed} unnoticed, ${delivered} delivered`;
  return `frames: ${told(frames)}; connections: ${told(sessions)}; ${work.rounds} times 8 MiB transferred, read and processed under ${work.flips} flips, ${work.different} differ`;
}

function shardsFigure({ flipped, refused, delivered, mended, alone, named }) {
  return `${flipped} flipped on disk, ${refused} refused, ${delivered} delivered; of ${flipped - alone} with another copy ${mended} mended, of ${alone} without one ${named} named in the error`;
}

/** @param judge of the figures of `test/sim/run.mjs`: { pass, figure } */
function simulated(promise, argumentsOf, judge, more = {}) {
  return {
    promise,
    command: (full) => `npm run test:sim -- ${argumentsOf(full).join(' ')} [--seed N]`,
    async run(full, seed) {
      const args = [...argumentsOf(full), '--json'];
      const { result } = await report([
        'test/sim/run.mjs',
        ...args,
        ...(seed === undefined ? [] : ['--seed', seed]),
      ]);
      return judge(result);
    },
    ...more,
  };
}

function seedsOf(name) {
  return (full) => ['--only', name, '--seeds', full ? '10000' : '500'];
}

function noViolation({ seeds, violating, ...counts }) {
  const rest = Object.entries(counts).map(([what, count]) => `, ${count} ${what}`);
  const which = violating.length === 0 ? 'none' : violating.slice(0, 10).join(', ');
  return {
    pass: violating.length === 0,
    figure: `${seeds} seeds${rest.join('')}; seeds with a violation: ${which}`,
  };
}

const simulations = [
  simulated(
    'simulated: 3 to 9 members agree again after every kind of trouble',
    seedsOf('chaos'),
    ({ chaos }) => noViolation(chaos),
  ),
  simulated(
    'simulated: what 3 to 9 nodes confirmed is there, nothing counts twice, and all ends in time',
    seedsOf('cluster'),
    ({ cluster }) => noViolation(cluster),
  ),
  simulated(
    'simulated: 100 nodes at 5 % loss agree on a join and a crash within 5 s, median 2 s',
    (full) => ['--only', 'agreement', '--rounds', full ? '50' : '5'],
    ({ agreement: { joinMs, crashMs, silentCrashMs } }) => ({
      pass: [joinMs, crashMs].every(({ median, most }) => median <= 2_000 && most <= 5_000),
      figure: `join: median ${milliseconds(joinMs.median)}, most ${milliseconds(joinMs.most)}; crash: ${milliseconds(crashMs.median)}, ${milliseconds(crashMs.most)}; crash with the machine, which a stall of 5 s looks like: ${milliseconds(silentCrashMs.median)}, ${milliseconds(silentCrashMs.most)}`,
    }),
  ),
  simulated(
    'simulated: 100 nodes at 5 % loss bury nobody alive in 24 hours',
    () => ['--only', 'quiet', '--minutes', '1440'],
    ({ quiet }) => ({
      pass: quiet.falseDeaths === 0,
      figure: `${quiet.falseDeaths} false deaths, ${quiet.refutations} suspicions denied`,
    }),
    { fullOnly: true },
  ),
  simulated(
    'simulated: with 10 % of 100 nodes stalling, local health saves nine in ten from a false death',
    () => ['--only', 'stalls', '--minutes', '10'],
    ({ stalls }) => {
      const withIt = stalls['with local health'].falseDeaths;
      const without = stalls.without.falseDeaths;
      return {
        pass: without > 0 && withIt * 10 <= without,
        figure: `${withIt} false deaths with local health, ${without} without`,
      };
    },
    { fullOnly: true },
  ),
  simulated(
    'simulated: the traffic of a node is the same in nets of 10 and of 500',
    () => ['--only', 'traffic'],
    ({ traffic }) => {
      const rates = Object.values(traffic).map(({ bytesPerNodeSecond }) => bytesPerNodeSecond);
      const spread = Math.max(...rates) / Math.min(...rates);
      const list = Object.entries(traffic).map(
        ([count, { bytesPerNodeSecond, datagramsPerNodeSecond }]) =>
          `${count}: ${bytesPerNodeSecond.toFixed(0)} B and ${datagramsPerNodeSecond.toFixed(1)} datagrams`,
      );
      return { pass: spread <= 1.25, figure: `a second and node, by nodes: ${list.join(', ')}` };
    },
    { fullOnly: true },
  ),
  simulated(
    'simulated: every planted bug is found within 10,000 seeds',
    () => ['--only', 'bugs'],
    ({ bugs }) => {
      const all = Object.entries(bugs);
      const found = all.filter(([, count]) => count !== null);
      const list = found.map(([name, count]) => `${name}: ${count}`);
      return {
        pass: all.length >= 20 && found.length === all.length,
        figure: `${found.length} of ${all.length} found, after so many seeds: ${list.join('; ')}`,
      };
    },
    { fullOnly: true },
  ),
];

function milliseconds(ms) {
  return `${Math.round(ms)} ms`;
}

/** The short form follows `npm test`, which has run them. */
const full = { fullOnly: true };

export const checks = [
  suite(
    'copies lie on different nodes, are read, processed and repaired, whoever goes away',
    ['test/fault/replicas.test.ts'],
    full,
  ),
  suite(
    'placement is even, and moves little when a node joins or leaves',
    [
      'test/unit/cluster/placement',
      'test/unit/cluster/balancing',
      'test/main-job/balanced-messages.test.ts',
    ],
    full,
  ),
  suite(
    'nodes come and go in a running net, and shards move to where they belong',
    [
      'test/unit/cluster/placement/moves.test.ts',
      'test/main-job/rebalance.test.ts',
      'test/fault/followed-nets.test.ts',
    ],
    full,
  ),
  suite(
    'a broadcast reaches each node once and says who confirmed, also when one is killed',
    ['test/unit/api/net-messages.test.ts', 'test/fault/messages.test.ts'],
    full,
  ),
  suite(
    'everything works through a hub, when nothing else can be reached',
    [
      'test/unit/api/net-hub.test.ts',
      'test/contract/session-relayed.test.ts',
      'test/fault/hub.test.ts',
      'test/fault/hub-memory.test.ts',
      'test/fault/hub-namespace.test.ts',
    ],
    full,
  ),
  killed(
    'lmdb',
    'what five nodes on disk confirmed reads back, whenever up to two of them are killed',
    [3_000, 100_000],
    [10, 200],
  ),
  killed(
    'memory',
    'what five nodes in memory confirmed reads back, when copies are made anew between kills',
    [3_000, 100_000],
    [10, 200],
  ),
  suite(
    'full disks, stores of others, wrong clocks, stalls and flawed handlers cost no node and no data',
    ['test/fault/bad-days.test.ts', 'test/fault/stores.test.ts', 'test/fault/membership.test.ts'],
    full,
  ),
  suite(
    'a shard is synced before it is confirmed, and a build that does not is found out',
    ['test/fault/synced-confirmations.test.ts'],
    full,
  ),
  cuts,
  flipped(
    'a bit that flips on the way ends its connection, and is never taken for data',
    'flipped-frames',
    [
      [5_000, 2_000, 20],
      [100_000, 20_000, 300],
    ],
    framesFigure,
  ),
  flipped(
    'a bit that flips in a store is never taken for data, and mended where there is another copy',
    'flipped-shards',
    [[50], [1_000]],
    shardsFigure,
  ),
  ...simulations,
];
