// Asks a coordinator for all kinds of things, several at once, and tells its parent what it was answered, and when: fork('historian.mjs', [NET_OPTIONS, NAME]). Each message
// `{ prefix, keys, operations, seed }` is one round; the answer is the list of its calls. Times are those of one clock for all processes of a machine. `{ probe: KEY }` is
// answered when a change of that key is refused, `{ untilServed: KEY }` when one is made.

import { Net, Node } from '../../dist/index.js';
import { SeededRandom } from '../sim/virtual-time.mjs';

const [, , optionsJson, name] = process.argv;
const linesPerClient = 4;
const deadlineMs = 3_000;
/** After these it is known that nothing was done, and will be. */
const nothingDone = new Set(['PAIPAI_ERR_COORDINATOR_DOWN', 'PAIPAI_ERR_OVERLOADED']);

const options = JSON.parse(optionsJson);
const net = new Net(options);
// A client of an etcd needs no node but to start.
if (options.join === undefined) net.addNode(new Node(name, { runAs: 'inline' }));
await net.start();
process.on('message', (order) => {
  const { probe, untilServed } = order;
  const doing = probe ? refused(probe) : untilServed ? served(untilServed) : historyOf(order);
  void doing.then((answer) => process.send(answer));
});
process.send('ready');

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
const textOf = (value) => (value === undefined ? null : Buffer.from(value).toString());

/** Settles when nobody is there who could agree. */
async function refused(key) {
  for (;;) {
    const code = await codeOfPut(key);
    if (code !== undefined) return code;
  }
}

async function served(key) {
  for (;;) {
    const code = await codeOfPut(key);
    if (code === undefined) return 'served';
  }
}

async function codeOfPut(key) {
  try {
    await net.coordinator.put(key, Buffer.from('probe'), { deadlineMs });
    return undefined;
  } catch (error) {
    if (error.code === undefined) throw error;
    return error.code;
  }
}

async function historyOf({ prefix, keys, operations, seed }) {
  const random = new SeededRandom(seed);
  const calls = [];
  const seen = new Map();
  let left = operations;
  let count = 0;
  const line = async () => {
    while (left-- > 0) {
      const key = `${prefix}/${Math.floor(random.next() * keys)}`;
      const other = `${prefix}/${Math.floor(random.next() * keys)}`;
      const set = `${name}.${++count}`;
      await record(calls, seen, random.next(), { key, other, set });
    }
  };
  await Promise.all(Array.from({ length: linesPerClient }, line));
  return calls;
}

async function record(calls, seen, what, { key, other, set }) {
  const table = net.coordinator;
  const bytes = Buffer.from(set);
  const limits = { deadlineMs };
  const known = seen.get(key) ?? { version: 0, value: null };
  const call = { key, startedAt: nowMs() };
  const parts = [call];
  let isChange = true;
  try {
    if (what < 0.35) {
      isChange = false;
      Object.assign(call, { what: 'get' });
      const { value, version } = await table.get(key, limits);
      Object.assign(call, { value: textOf(value), version });
      seen.set(key, { version, value: textOf(value) });
    } else if (what < 0.5) {
      Object.assign(call, { what: 'put', set });
      const { version } = await table.put(key, bytes, limits);
      call.version = version;
      seen.set(key, { version, value: set });
    } else if (what < 0.55) {
      Object.assign(call, { what: 'put', set: null });
      await table.delete(key, limits);
      seen.set(key, { version: 0, value: null });
    } else if (what < 0.85 || key === other) {
      Object.assign(call, { what: 'set', expected: known.value, set });
      const { isSet, value, version } = await table.compareAndSet(
        key,
        known.version,
        bytes,
        limits,
      );
      Object.assign(call, { isSet, value: textOf(value), version });
      seen.set(key, { version, value: textOf(value) });
    } else {
      const second = seen.get(other) ?? { version: 0, value: null };
      const expect = [
        { key, version: known.version },
        { key: other, version: second.version },
      ];
      Object.assign(call, { what: 'set', expected: known.value, set });
      const { startedAt } = call;
      parts.push({ key: other, startedAt, what: 'set', expected: second.value, set });
      const both = [key, other].map((one) => ({ key: one, value: bytes }));
      const { isSet, versions } = await table.txn({ expect, set: both }, limits);
      // Of which of them held it up nothing is known.
      if (!isSet) {
        seen.delete(key);
        seen.delete(other);
        return;
      }
      for (const part of parts) {
        Object.assign(part, { isSet, value: set, version: versions.get(part.key) });
        seen.set(part.key, { version: part.version, value: set });
      }
    }
    const endedAt = nowMs();
    for (const part of parts) calls.push({ ...part, endedAt });
  } catch (error) {
    if (error.code === undefined) throw error;
    seen.delete(key);
    if (!isChange || nothingDone.has(error.code)) calls.push({ what: 'refused', code: error.code });
    else for (const part of parts) calls.push({ ...part, endedAt: null, code: error.code });
  }
}
