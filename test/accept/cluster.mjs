// The cluster: copies on several nodes, while these are killed, come back, and lose what they had.

import { mustRun, run, testCount } from './support.mjs';

/** Runs a program that prints one JSON object at its end. */
async function report(args) {
  const { code, stdout, stderr } = await run(process.execPath, args, { timeoutMs: 3_600_000 });
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

function suite(promise, files) {
  return {
    promise,
    command: `npx vitest run ${files.join(' ')}`,
    async run() {
      const stdout = await mustRun('npx', ['vitest', 'run', ...files]);
      return { pass: true, figure: testCount(stdout) };
    },
  };
}

export const checks = [
  suite('copies lie on different nodes, are read, processed and repaired, whoever goes away', [
    'test/fault/replicas.test.ts',
  ]),
  suite('placement is even, and moves little when a node joins or leaves', [
    'test/unit/cluster/placement',
    'test/unit/cluster/balancing',
  ]),
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
  cuts,
];
