// Coordination: one interface on several backends, and what is built on it, while processes are killed, stand still, and come back.

import { run, suite } from './support.mjs';

const whole = { isWhole: true };

const simulatedQuorum = {
  promise:
    'simulated: what a quorum agreed on is never forgotten, and all its answers have an order',
  command: (full) => `npm run test:sim -- --only quorum --seeds ${full ? 100_000 : 1_000}`,
  async run(full, seed) {
    const args = [
      'test/sim/run.mjs',
      '--json',
      '--only',
      'quorum',
      '--seeds',
      full ? '100000' : '1000',
    ];
    const { stdout } = await run(
      process.execPath,
      [...args, ...(seed === undefined ? [] : ['--seed', seed])],
      {
        timeoutMs: 3 * 3_600_000,
      },
    );
    const { quorum } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    const { seeds, violating, ...counts } = quorum;
    const list = Object.entries(counts).map(([what, count]) => `${count} ${what}`);
    return {
      pass: violating.length === 0,
      figure: `${seeds} seeds, ${list.join(', ')}; seeds with a violation: ${violating.slice(0, 10).join(', ') || 'none'}`,
    };
  },
};

/** @param count in the short form, and in the full one */
function program(promise, name, kind, counts, figureOf) {
  const args = (full) => [`test/fault/${name}.mjs`, kind, String(counts[full ? 1 : 0])];
  return {
    promise: `${promise}, on ${kind}`,
    command: (full) => `node ${args(full).join(' ')}`,
    async run(full) {
      const { code, stdout, stderr } = await run(process.execPath, args(full), {
        timeoutMs: 3_600_000,
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
  simulatedQuorum,
];
