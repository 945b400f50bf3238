// Programs for shared-memory.test.ts: `node shared-memory-child.mjs SCENARIO [ARGUMENT]`. What is printed is the answer.

import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { connect, listen } from '../../dist/api/transport.js';

const descriptors = () => readdirSync('/proc/self/fd').length;

const scenarios = {
  /** Serves until it is killed; prints where. */
  async serve() {
    const opened = [];
    const listener = await listen('tcp://127.0.0.1:0', {
      methods: {
        echo: (payload) => payload,
        /** Opens one more socket, which libuv takes into its set when it next waits. */
        openSocket() {
          const server = createServer();
          server.listen(join(tmpdir(), `paipainet-${process.pid}-${opened.length}.sock`));
          opened.push(server);
        },
        closeSockets() {
          for (const server of opened) server.close();
        },
        /** Neither reads nor does anything else from here on. */
        stall: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
      },
    });
    console.log(listener.address);
  },

  /** Connects, asks once, and prints by which path. */
  async ask(address) {
    const peer = await connect(address);
    const answer = await peer.request('echo', Buffer.from('hello'), { deadlineMs: 10_000 });
    console.log(JSON.stringify({ path: peer.path, answer: Buffer.from(answer).toString() }));
    await peer.close();
  },

  /** Terminates 50 worker threads, each while its connections are on their way to shared memory. */
  async workers(address) {
    await terminateOne(address, 0);
    const before = await settledDescriptors();
    for (let i = 1; i <= 50; i++) await terminateOne(address, i);
    console.log(JSON.stringify({ before, after: await settledDescriptors(before) }));
  },
};

/** In a worker: connects without end, to another process and within this thread. */
async function connectWithoutEnd() {
  const own = await listen('tcp://127.0.0.1:0');
  const keep = async (address) => {
    for (;;) {
      const peer = await connect(address);
      if (peer.path !== 'shm') throw new Error(`came to ${peer.path}`);
      parentPort.postMessage('connected');
      peer.destroy();
    }
  };
  await Promise.all([keep(workerData), keep(workerData), keep(own.address)]);
}

async function terminateOne(address, index) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: address });
  const failed = once(worker, 'error').then(([error]) => {
    throw error;
  });
  // After a few connections, and a moment more that is different each time.
  await Promise.race([once(worker, 'message'), failed]);
  failed.catch(() => {}); // What it throws once it is being terminated is of no interest.
  for (let turns = 0; turns < index * 7; turns++) await new Promise(setImmediate);
  await worker.terminate();
}

/** How many are open once that is no more than `most`, or has not been so for a long time. */
async function settledDescriptors(most = Number.POSITIVE_INFINITY) {
  for (let turns = 0; turns < 100 || (turns < 50_000 && descriptors() > most); turns++) {
    await new Promise(setImmediate);
  }
  return descriptors();
}

const [scenario, argument] = process.argv.slice(2);
if (isMainThread) await scenarios[scenario](argument);
else await connectWithoutEnd();
