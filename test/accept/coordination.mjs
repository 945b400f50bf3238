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
  simulatedQuorum,
];
