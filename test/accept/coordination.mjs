// Coordination: one interface on several backends, and what is built on it, while processes are killed, stand still, and come back.

import { mustRun, run, suite } from './support.mjs';

const whole = { isWhole: true };

/** @param counts of seeds, in the short form and in the full one */
function simulated(promise, name, counts) {
  const args = (full) => ['--only', name, '--seeds', String(counts[full ? 1 : 0])];
  return {
    promise: `simulated: ${promise}`,
    command: (full) => `npm run test:sim -- ${args(full).join(' ')}`,
    async run(full, seed) {
      const { stdout } = await run(
        process.execPath,
        [
          'test/sim/run.mjs',
          '--json',
          ...args(full),
          ...(seed === undefined ? [] : ['--seed', seed]),
        ],
        { timeoutMs: 3 * 3_600_000 },
      );
      const figures = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
      const { seeds, violating, ...others } = figures[name];
      const list = Object.entries(others).map(([what, count]) => `${count} ${what}`);
      return {
        pass: violating.length === 0,
        figure: `${seeds} seeds, ${list.join(', ')}; seeds with a violation: ${violating.slice(0, 10).join(', ') || 'none'}`,
      };
    },
  };
}

/** @param counts further arguments, in the short form and in the full one */
function program(promise, name, kind, counts, figureOf) {
  const args = (full) => [
    `test/fault/${name}.mjs`,
    kind,
    ...String(counts[full ? 1 : 0]).split(' '),
  ];
  return {
    promise: `${promise}, on ${kind}`,
    command: (full) => `node ${args(full).join(' ')}`,
    async run(full) {
      const { code, stdout, stderr } = await run(process.execPath, args(full), {
        timeoutMs: 3 * 3_600_000,
      });
      const line = stdout.trim().split('\n').at(-1) ?? '';
      if (!line.startsWith('{')) throw new Error(`ended with ${code}\n${stderr}`.slice(-2_000));
      return { pass: code === 0, figure: figureOf(JSON.parse(line)) };
    },
  };
}

const kinds = ['local', 'quorum', 'etcd'];

const killedLeaders = kinds.map((kind) =>
  program(
    'leaders are killed: never two in one term, and a new one within twice the lease',
    'killed-leaders',
    kind,
    [5, 200],
    ({ kills, violations, medianMs, mostMs }) =>
      `${kills} killed, ${violations} violations; the next one after ${Math.round(medianMs)} ms, at most ${Math.round(mostMs)}`,
  ),
);

const stoppedHolders = kinds.map((kind) =>
  program(
    'holders of a lock are stopped past its time: the store takes nothing of what they write then',
    'stopped-holders',
    kind,
    [10, 1_000],
    ({ stopped, staleWrites, codes }) => {
      const list = Object.entries(codes).map(([code, count]) => `${count} ${code}`);
      return `${stopped} stopped, ${staleWrites} stale writes taken: ${list.join(', ')}`;
    },
  ),
);

const killedTransactions = kinds.map((kind) =>
  program(
    'clients in the middle of transactions and the nodes that follow them are killed: each is done whole or not at all',
    'killed-transactions',
    kind,
    [100, 10_000],
    ({ committed, aborted, unknown, killedTellers, killedNodes, violations, mostInDoubtMs }) =>
      `${committed} committed, ${aborted} aborted, ${unknown} unknown; ${killedTellers} clients and ${killedNodes} nodes killed, ${violations} violations; in doubt for ${mostInDoubtMs} ms at most once it was decided`,
  ),
);

const histories = ['quorum', 'etcd'].map((kind) =>
  program(
    'five clients of three members that are killed, stopped and cut off, and whose clocks jump: all answers have an order',
    'coordination-histories',
    kind,
    ['1 2000', '200 10000'],
    ({ seed, runs, calls, unknown, refused, disturbances, keys, resumedMs, violations }) =>
      `${runs} runs, ${calls} calls on ${keys} keys, ${unknown} of unknown outcome, ${refused} refused, ${disturbances} disturbances, ${violations} violations; served ${resumedMs.join(', ')} ms after two of three were cut off; seed ${seed}`,
  ),
);

const models = {
  promise: 'two-phase commit, and locks with fencing, hold in every interleaving of their models',
  command: 'node test/model/run.mjs transaction fence',
  async run() {
    const args = ['test/model/run.mjs', 'transaction', 'fence'];
    return { pass: true, figure: (await mustRun(process.execPath, args)).trim() };
  },
};

export const checks = [
  suite(
    'the same promises hold on every backend, one file for each',
    ['test/contract/coordination'],
    whole,
  ),
  suite(
    'locks, leases and elections hold while holders and coordinators are killed, stand still and come back',
    ['test/fault/locks.test.ts', 'test/fault/fencing.test.ts', 'test/unit/coordination'],
    { ...whole, fullOnly: true },
  ),
  suite(
    'etcd: members that die or stand still, wrong passwords, certificates, limits, two nets on one',
    ['test/fault/etcd.test.ts'],
    whole,
  ),
  suite(
    'a quorum of three processes goes on without one, refuses without two, and no wiped disk votes',
    ['test/fault/quorum.test.ts'],
    { ...whole, fullOnly: true },
  ),
  ...killedLeaders,
  ...stoppedHolders,
  ...histories,
  models,
  ...killedTransactions,
  simulated(
    'what a quorum agreed on is never forgotten, and all its answers have an order',
    'quorum',
    [1_000, 100_000],
  ),
  simulated(
    'transactions are done whole or not at all, in one order, and nothing stays in doubt',
    'transactions',
    [100, 10_000],
  ),
  simulated('the same, with one crash at each step in turn', 'steps', [100, 2_000]),
];
