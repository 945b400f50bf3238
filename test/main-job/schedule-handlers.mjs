import { appendFileSync, writeFileSync } from 'node:fs';

/** Handlers that fail, dawdle and take notes, for tests of who processes what. Values are lists, so that nothing counts twice unnoticed. */

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const concat = (a, b) => [...a, ...b];

/** The first call on one of the shards fails, wherever it is, and says in a file on which node. */
function failFirst({ folder, shards }, shardIndex, nodeId, fail) {
  if (!shards.includes(shardIndex)) return;
  try {
    writeFileSync(`${folder}/failed-${shardIndex}`, nodeId, { flag: 'wx' });
  } catch {
    return;
  }
  fail();
}

function throwsFirst(_shard, { shardIndex, nodeId, args }) {
  failFirst(args, shardIndex, nodeId, () => {
    throw new RangeError(`no luck with shard ${shardIndex}`);
  });
  return [[shardIndex, nodeId]];
}

export const listThrowingFirst = { process: throwsFirst };
export const mergeThrowingFirst = { process: throwsFirst, merge: concat };

export const mergeExitingFirst = {
  process(_shard, { shardIndex, nodeId, args }) {
    failFirst(args, shardIndex, nodeId, () => process.exit(3));
    return [[shardIndex, nodeId]];
  },
  merge: concat,
};

/** Never works on one shard. Writes down each attempt at it. */
export function throwsAlways(_shard, { shardIndex, nodeId, args }) {
  if (shardIndex !== args.shard) return shardIndex;
  appendFileSync(`${args.folder}/attempts`, `${nodeId}\n`);
  throw new RangeError('never any luck');
}

/** Says in a file when it begins and ends on which node. */
export async function notesTurns(_shard, { nodeId, args }) {
  appendFileSync(`${args.folder}/turns`, `${nodeId} 1\n`);
  await sleep(3);
  appendFileSync(`${args.folder}/turns`, `${nodeId} -1\n`);
  return nodeId;
}

/** Takes `ms`, and `slowMs` on node 1. */
export const dawdles = {
  async process(_shard, { shardIndex, nodeId, args }) {
    await sleep(nodeId === '1' ? args.slowMs : args.ms);
    return [[shardIndex, nodeId]];
  },
  merge: concat,
};

/** Comes to no end on node 1 until it is told to. */
export const hangsOnNode1 = {
  process(_shard, { shardIndex, nodeId, signal }) {
    if (nodeId !== '1') return [[shardIndex, nodeId]];
    return new Promise((resolve) =>
      signal.addEventListener('abort', () => resolve([[shardIndex, nodeId]])),
    );
  },
  merge: concat,
};
