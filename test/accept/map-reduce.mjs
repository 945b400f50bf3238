// MapReduce: as fast as its two cores allow, right whatever dies, within its memory.

import { mustRun, testCount } from './support.mjs';

const gainLeast = 1.7;
const localShareLeast = 0.9;

function sizeOf(full) {
  return full ? 1024 : 128;
}

async function countWords(...args) {
  const stdout = await mustRun(
    process.execPath,
    ['test/accept/map-reduce-text.mjs', ...args.map(String)],
    { timeoutMs: 1_800_000 },
  );
  return JSON.parse(stdout);
}

/** A short run is mostly start; only the long one is judged by its speed. */
async function wordCount(full) {
  const { equal, aloneMs, wallMs, aloneCpuMs, cpuMs, grownMiB, memoryMiB, report } =
    await countWords(sizeOf(full));
  const gain = aloneMs / wallMs;
  const grown = Math.max(...grownMiB);
  return {
    pass:
      equal &&
      (!full || gain >= gainLeast) &&
      report.localShare >= localShareLeast &&
      grown <= memoryMiB,
    figure: `equal ${equal}; ${(aloneMs / 1e3).toFixed(1)} s in one thread, ${(wallMs / 1e3).toFixed(1)} s on two nodes, ${gain.toFixed(2)} times as fast (goal ${gainLeast}${full ? '' : ', not judged in the short form'}), CPU ${(aloneCpuMs / 1e3).toFixed(1)} s and ${(cpuMs / 1e3).toFixed(1)} s; ${report.localShare * 100} % read where it lies; nodes grew by up to ${grown.toFixed(0)} MiB (limit ${memoryMiB}); ${report.keys} words, ${(report.emittedBytes / 1e6).toFixed(1)} MB emitted`,
  };
}

async function withKills(full) {
  const { equal, killed, report } = await countWords(full ? 512 : 64, 'kill');
  return {
    pass: equal && killed === 2 && report.retries > 0 && report.localShare >= localShareLeast,
    figure: `equal ${equal}; ${killed} nodes killed, ${report.retries} tasks and partitions begun again`,
  };
}

async function tests(...args) {
  return { pass: true, figure: testCount(await mustRun('npx', ['vitest', 'run', ...args])) };
}

export const checks = [
  {
    promise: `word count equals one thread's and is ${gainLeast} times as fast on two nodes, input read where it lies, memory under its cap`,
    command: (full) => `node test/accept/map-reduce-text.mjs ${sizeOf(full)}`,
    run: wordCount,
  },
  {
    promise: 'a node killed in the map phase and one in the reduce phase change nothing',
    command: (full) => `node test/accept/map-reduce-text.mjs ${full ? 512 : 64} kill`,
    run: withKills,
  },
  {
    promise: 'random texts, failing functions, keys and values beyond memory, lost and late nodes',
    command: 'npx vitest run test/main-job/map-reduce.test.ts test/fault/map-reduce.test.ts',
    run: () => tests('test/main-job/map-reduce.test.ts', 'test/fault/map-reduce.test.ts'),
  },
];
