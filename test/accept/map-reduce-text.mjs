// Counts the words of a text of so many MiB, first in one thread, then as a MapReduce on two nodes, both with the same map and from bytes in memory.
// Prints one line of JSON. Usage: node map-reduce-text.mjs MEBIBYTES [kill]; with `kill` there are three nodes, each with all shards, and one is
// killed in the map phase and another one in the reduce phase.

import { readFileSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { words } from './map-reduce-handlers.mjs';

const mebibyte = 2 ** 20;
const vocabularySize = 50_000;
const memoryBytes = 256 * mebibyte;

/** One MiB of lines, another one for each index: words of a vocabulary, the lower their number the more frequent (about as 1 / number). */
function shardOf(index) {
  let state = (index * 2_654_435_761 + 1) >>> 0;
  const bytes = Buffer.alloc(mebibyte, ' ');
  let at = 0;
  for (let count = 1; ; count++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const number = Math.floor(vocabularySize ** (state / 2 ** 32));
    const word = `${'etaoinshrd'[number % 10]}${number.toString(36)}${'wordword'.slice(0, number % 7)}`;
    if (at + word.length + 1 > bytes.length) break;
    at += bytes.latin1Write(word, at);
    bytes[at++] = count % 12 === 0 ? 10 : 32;
  }
  bytes[bytes.length - 1] = 10;
  return bytes;
}

/** The same map, folded by hand: to call `sum` for it, as the MapReduce does, would take a third longer. */
function countAlone(shards) {
  const counts = new Map();
  const emit = (word, one) => counts.set(word, (counts.get(word) ?? 0) + one);
  for (const shard of shards) words(shard, { emit });
  return counts;
}

function inOneThread(mebibytes) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: mebibytes });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

if (!isMainThread) {
  const shards = Array.from({ length: workerData }, (_, index) => shardOf(index));
  const startMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const counts = countAlone(shards);
  const { user, system } = process.cpuUsage(cpuBefore);
  const wallMs = performance.now() - startMs;
  parentPort.postMessage({ wallMs, cpuMs: (user + system) / 1e3, counts });
} else {
  const { Data, Net, Node } = await import('paipainet');
  const mebibytes = Number(process.argv[2]);
  const kills = process.argv[3] === 'kill';
  const alone = await inOneThread(mebibytes);

  async function* text() {
    for (let index = 0; index < mebibytes; index++) yield shardOf(index);
  }
  const whole = () => Buffer.concat(Array.from({ length: mebibytes }, (_, at) => shardOf(at)));
  const net = new Net({ handlers: new URL('./map-reduce-handlers.mjs', import.meta.url) });
  const nodes = Array.from({ length: kills ? 3 : 2 }, (_, at) => new Node(at + 1));
  for (const node of nodes) net.addNode(node);
  const data = new Data('text', kills ? whole() : text(), { records: 'lines' });
  net.addData(data);
  await net.start();
  try {
    if (!kills) await net.transfer(data);
    for (const node of kills ? nodes : []) await net.transfer(data, node);
    const before = nodes.map(({ pid }) => resetPeak(pid));
    const killed = new Set();
    const cpuBefore = kills ? 0 : cpuMs(nodes);
    const { value, report } = await net.mapReduce(data, {
      map: 'words',
      combine: 'sum',
      reduce: 'sum',
      partitions: kills ? 32 : undefined,
      memoryBytes,
      onProgress({ phase }) {
        if (!kills || killed.has(phase)) return;
        killed.add(phase);
        process.kill(nodes[killed.size - 1].pid, 'SIGKILL');
      },
    });
    const cpuOfJobMs = kills ? undefined : cpuMs(nodes) - cpuBefore;
    const sorted = (counts) => [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    console.log(
      JSON.stringify({
        equal: isDeepStrictEqual(sorted(value), sorted(alone.counts)),
        killed: killed.size,
        aloneMs: alone.wallMs,
        wallMs: report.wallMs,
        aloneCpuMs: alone.cpuMs,
        cpuMs: cpuOfJobMs,
        grownMiB: kills ? [] : nodes.map(({ pid }, at) => peakMiB(pid) - before[at]),
        memoryMiB: memoryBytes / mebibyte,
        report,
      }),
    );
  } finally {
    await net.close();
  }
}

/** Of this process and of the nodes so far, to within 10 ms each (proc(5), stat). */
function cpuMs(nodes) {
  const { user, system } = process.cpuUsage();
  return nodes.reduce(
    (sum, { pid }) => {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return sum + 10 * (Number(fields[11]) + Number(fields[12]));
    },
    (user + system) / 1e3,
  );
}

function residentMiB(pid, field) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
}

/** From now on the peak is that of what follows (proc(5), clear_refs). Returns what is resident now. */
function resetPeak(pid) {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  return residentMiB(pid, 'VmRSS');
}

function peakMiB(pid) {
  return residentMiB(pid, 'VmHWM');
}
