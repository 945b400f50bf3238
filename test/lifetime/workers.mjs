// Starts worker threads and terminates each while its transfers are in flight; the process must survive and hold no more descriptors than
// before. Prints one JSON object.
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
const transferBytes = 64 * 1024 * 1024;
const laterMs = 100;

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
  let next = 1;
  const lane = async () => {
    while (next <= count) await terminateInFlight(address, next++);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  await settle();
  const after = descriptors();
  const leaked = after - before;
  console.log(
    JSON.stringify({ workers: count, descriptorsBefore: before, descriptorsAfter: after, leaked }),
  );
  process.exitCode = leaked > 0 ? 1 : 0;
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
