/** Handlers for tests; each says in its name what it does. */

import { threadId } from 'node:worker_threads';

export const notAHandler = 42;

export function length(shard) {
  return shard.byteLength;
}

export const byteSum = {
  process: (shard) => shard.reduce((sum, byte) => sum + byte, 0),
  merge: (a, b) => a + b,
};

/** Node 3 never comes to an end. */
export const byteSumElsewhere = {
  process(shard, { nodeId }) {
    while (nodeId === '3');
    return byteSum.process(shard);
  },
  merge: byteSum.merge,
};

export function context(_shard, { dataId, shardIndex, nodeId, args, signal }) {
  return { dataId, shardIndex, nodeId, args, aborted: signal.aborted };
}

export async function later(shard) {
  await new Promise((resolve) => setImmediate(resolve));
  return shard[0];
}

export function echo(shard) {
  return shard.slice();
}

/** Rows of `key,value` without quotes: count, sum, least and greatest value of each key. */
export function groupByKey(shard) {
  const groups = {};
  for (const line of new TextDecoder().decode(shard).split('\n')) {
    const [key, text] = line.split(',');
    if (text === undefined || key === 'key') continue;
    const value = Number(text);
    const { count, sum, min, max } = groups[key] ?? { count: 0, sum: 0, min: value, max: value };
    groups[key] = {
      count: count + 1,
      sum: sum + value,
      min: Math.min(min, value),
      max: Math.max(max, value),
    };
  }
  return groups;
}
groupByKey.merge = (a, b) => {
  const merged = { ...a };
  for (const [key, { count, sum, min, max }] of Object.entries(b)) {
    const own = merged[key];
    merged[key] =
      own === undefined
        ? { count, sum, min, max }
        : {
            count: own.count + count,
            sum: own.sum + sum,
            min: Math.min(own.min, min),
            max: Math.max(own.max, max),
          };
  }
  return merged;
};

export function throwsOnShard1(_shard, { shardIndex }) {
  if (shardIndex === 1) throw new RangeError('no luck with this one');
  return shardIndex;
}

/** On one in as many as the caller says. */
export function throwsOnOneIn(_shard, { shardIndex, args }) {
  if (shardIndex % args === args - 1) throw new RangeError(`no luck with shard ${shardIndex}`);
  return shardIndex;
}

export async function rejects() {
  throw new TypeError('later, no luck');
}

export function throwsNoError() {
  throw 'only a string';
}

export const mergeThrows = {
  process: () => 1,
  merge() {
    throw new Error('cannot merge');
  },
};

export function givesFunction() {
  return { deep: [() => 1] };
}

export function givesNothing() {}

export function endless() {
  for (;;);
}

export const endlessMerge = {
  process: () => 1,
  merge() {
    for (;;);
  },
};

export function endlessOnShard0(_shard, { shardIndex }) {
  if (shardIndex === 0) for (;;);
  return shardIndex;
}

export function endlessButOnShard0(_shard, { shardIndex }) {
  if (shardIndex === 0) throw new RangeError('no luck with this one');
  for (;;);
}

/** Keeps its thread, whose number it gives, for a few milliseconds, and says so in the shard. */
export function takesItsTime(shard) {
  shard[0] = 1;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 11);
  return threadId;
}

/** Comes back when it is told to, and says so on the byte that the caller gave. */
export function waitsForSignal(_shard, { signal }) {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve('told')));
}

export function exits() {
  process.exit(3);
}

export function rejectsBehindOurBack() {
  setImmediate(() => {
    throw new Error('thrown where nobody waits');
  });
  return new Promise(() => {});
}

export function eatsMemory() {
  const eaten = [];
  for (;;) eaten.push(new Array(1_000_000).fill(eaten.length));
}
