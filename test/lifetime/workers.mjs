// Starts worker threads and terminates each while its transfers are in flight, then threads of the package itself, each while it loads. The
// process must survive and hold no more descriptors than before. Prints one JSON object.
//
//   node test/lifetime/workers.mjs [COUNT]        default 200

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Data, Net, Node } from 'paipainet';

const atOnce = 4;
const workerEntry = new URL('../../dist/node/worker-entry.cjs', import.meta.url);
const transferBytes = 64 * 1024 * 1024;
const laterMs = 100;
/** Threads that are terminated while they load, for each worker. */
const loadingPerWorker = 10;
/** A thread has loaded everything within this, also on a busy machine. */
const loadMs = 50;

const [role, argument, address] = process.argv.slice(2);
if (!isMainThread) await transferWithoutEnd();
else if (role === 'inner') await terminateWorkers(Number(argument), address);
else await main(role ?? '200');

/** In a worker: half of its transfers go to a node in another process, half to a node in this very thread. */
async function transferWithoutEnd() {
  const { address, index } = workerData;
  const net = new Net({ runAs: 'inline', engine: 'native' });
  const node = index % 2 === 0 ? new Node('there', { address }) : new Node('here');
  net.addNode(node);
  await net.start();
  const content = Buffer.alloc(transferBytes, index);
  for (let n = 0; ; n++) {
    const data = new Data(`${index}-${n}`, content);
    net.addData(data);
    await net.process(data, 'digest', {
      keep: false,
      // The first bytes are confirmed, the last are not: this is the moment to be terminated in.
      onProgress: () => parentPort.postMessage('in flight'),
    });
  }
}

/** Starts the node, then the process under test: when that aborts, the node still ends. */
async function main(count) {
  const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
  const node = spawn(process.execPath, [cli, 'node', '--listen', 'tcp://127.0.0.1:0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [line] = await once(createInterface({ input: node.stdout }), 'line');
    const self = fileURLToPath(import.meta.url);
    const args = [self, 'inner', count, JSON.parse(line).address];
    const [code, signal] = await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit');
    if (code !== 0) console.error(`the process under test ended with ${code ?? signal}`);
    process.exitCode = code ?? 1;
  } finally {
    node.kill('SIGTERM');
  }
}

async function terminateWorkers(count, address) {
  // What the first worker opens for good, such as the thread pool's own descriptors, is not a leak.
  await terminateInFlight(address, 0);
  await settle();
  const before = descriptors();
  await inLanes(count, (index) => terminateInFlight(address, index));
  const loading = count * loadingPerWorker;
  await inLanes(loading, terminateLoading);
  await settle();
  const after = descriptors();
  const leaked = after - before;
  console.log(
    JSON.stringify({
      workers: count,
      loading,
      descriptorsBefore: before,
      descriptorsAfter: after,
      leaked,
    }),
  );
  process.exitCode = leaked > 0 ? 1 : 0;
}

/** Calls `action` with 1 to `count`, a few at once. */
async function inLanes(count, action) {
  let next = 1;
  const lane = async () => {
    while (next <= count) await action(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

async function terminateLoading(index) {
  const worker = new Worker(workerEntry, { workerData: { engine: 'native' } });
  await once(worker, 'online');
  await new Promise((resolve) => setTimeout(resolve, index % loadMs));
  await worker.terminate();
}

async function terminateInFlight(address, index) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { address, index } });
  const failed = once(worker, 'error').then(([error]) => {
    throw error;
  });
  await Promise.race([once(worker, 'message'), failed]);
  // Each a little later, so that the threads that it starts in its turn are met at every stage.
  await new Promise((resolve) => setTimeout(resolve, (index * 7) % laterMs));
  failed.catch(() => {});
  await worker.terminate();
}

/** Closing goes on for some turns of the loop after a worker has ended. */
async function settle() {
  let last = -1;
  for (let calm = 0; calm < 20; ) {
    const now = descriptors();
    calm = now === last ? calm + 1 : 0;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function descriptors() {
  return readdirSync('/proc/self/fd').length;
}
