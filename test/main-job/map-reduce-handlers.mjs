/** Handlers for tests of MapReduce; each says in its name what it does. */

export function words(shard, { emit }) {
  for (const word of new TextDecoder().decode(shard).split(/\s+/)) {
    if (word !== '') emit(word, 1);
  }
}

export function sum(_key, values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

export async function sumLater(key, values) {
  await new Promise((resolve) => setImmediate(resolve));
  return sum(key, values);
}

export function list(_key, values) {
  return [...values];
}

export function first(_key, values) {
  for (const value of values) return value;
}

export function countedBy(_key, values, { args, dataId, nodeId, signal }) {
  let count = 0;
  for (const _value of values) count++;
  return { count, args, dataId, isNode: /^\d$/.test(nodeId), aborted: signal.aborted };
}

export async function wordsLater(shard, context) {
  await new Promise((resolve) => setImmediate(resolve));
  words(shard, context);
}

export function emitsNothing() {}

/** As many keys as `args` says, with the index of the shard as their value. */
export function manyKeys(_shard, { emit, args, shardIndex }) {
  for (let key = 0; key < args; key++) emit(`key ${key}`, shardIndex);
}

/** As many values of one key as `args` says. */
export function manyValues(_shard, { emit, args }) {
  for (let value = 0; value < args; value++) emit('one', value);
}

/** Each of the values in `args`, under its index. */
export function emitsArgs(_shard, { emit, args }) {
  args.forEach((value, at) => {
    emit(String(at), value);
  });
}

/** The keys in `args`. */
export function emitsKeys(_shard, { emit, args }) {
  for (const key of args) emit(key, 1);
}

const keyBytesMax = 64 * 1024;

export function emitsLongestKeys(_shard, { emit }) {
  emit('k'.repeat(keyBytesMax), 1);
  emit('é'.repeat(keyBytesMax / 2), 1);
}

export function emitsLongKey(_shard, { emit }) {
  emit('k'.repeat(keyBytesMax + 1), 1);
}

export function emitsLongUtf8Key(_shard, { emit }) {
  emit('é'.repeat(keyBytesMax / 2 + 1), 1);
}

export function emitsHalfPair(_shard, { emit }) {
  emit('half a pair \ud800', 1);
}

export function emitsKeysAndCatches(_shard, { emit, args }) {
  for (const key of args) {
    try {
      emit(key, 1);
    } catch {
      // It minds its own business.
    }
  }
}

export function emitsTooLate(_shard, { emit }) {
  setImmediate(() => {
    try {
      emit('late', 1);
    } catch (error) {
      globalThis.lateError = error.code;
    }
  });
}

export async function emitsLateError(_shard, { emit }) {
  while (globalThis.lateError === undefined) await new Promise((resolve) => setImmediate(resolve));
  emit(globalThis.lateError, 1);
}

export function emitsFunction(_shard, { emit }) {
  emit('key', () => 1);
}

export function throwsOnShard1(shard, context) {
  if (context.shardIndex === 1) throw new RangeError('no luck with this one');
  words(shard, context);
}

export function throws() {
  throw new TypeError('no luck at all');
}

export async function rejects() {
  throw new TypeError('later, no luck');
}

export function endless() {
  for (;;);
}

/** On node 1 it comes back only when it is told to. */
export async function wordsButNotOn1(shard, context) {
  if (context.nodeId === '1') {
    await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
  }
  words(shard, context);
}
