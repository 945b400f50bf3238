// Starts worker threads and terminates each while its requests, streams and messages are in flight, over sockets, shared memory and within
// the process, and those of the drop-in for node:net; it must survive and hold no more descriptors and mappings than before. Prints one JSON object.
//
//   node test/lifetime/transport-workers.mjs [COUNT]        default 1,000

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import net from 'paipainet/net';
import { connect, listen } from 'paipainet/transport';

const atOnce = 4;
const self = fileURLToPath(import.meta.url);
const echo = {
  engine: 'native',
  methods: { echo: (payload) => payload, never: () => new Promise(() => {}) },
  onMessage: () => {},
  onStream: async (stream) => {
    for await (const chunk of stream) await stream.write(chunk);
  },
};

const [role = '1000', count, address] = process.argv.slice(2);
if (!isMainThread) await workWithoutEnd();
else if (role === 'server') process.send((await listen('tcp://127.0.0.1:0', echo)).address);
else if (role === 'inner') await terminateWorkers(Number(count), address);
else await main(role);

/** In a worker, which is also a listener of its own: one peer over each path, all busy. */
async function workWithoutEnd() {
  const own = await listen('tcp://127.0.0.1:0', echo);
  const peers = await Promise.all([
    connect(workerData.address, { engine: 'native' }),
    connect(workerData.address, { engine: 'native', path: 'tcp' }),
    connect(own.address, { engine: 'native' }),
  ]);
  const payload = Buffer.alloc(100_000, workerData.index);
  void echoWithoutEnd(payload);
  for (const peer of peers) {
    const stream = peer.openStream('echo');
    const streaming = async () => {
      for (;;) await stream.write(payload);
    };
    const asking = async (bytes) => {
      for (;;) {
        await peer.request('echo', bytes);
        peer.send('news', bytes);
        parentPort.postMessage('in flight');
      }
    };
    void peer.request('never');
    void streaming();
    for (let lane = 0; lane < 8; lane++) void asking(lane < 2 ? payload : payload.subarray(0, 50));
  }
}

/** By the drop-in, both ends in this thread. */
async function echoWithoutEnd(payload) {
  const server = net.createServer((socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = net.connect(server.address().port, '127.0.0.1');
  socket.resume();
  for (;;) if (!socket.write(payload)) await once(socket, 'drain');
}

/** Starts the server, then the process under test: when that aborts, the server still ends. */
async function main(count_) {
  const server = fork(self, ['server']);
  try {
    const [serverAddress] = await once(server, 'message');
    const [code, signal] = await once(fork(self, ['inner', count_, serverAddress]), 'exit');
    if (code !== 0) console.error(`the process under test ended with ${code ?? signal}`);
    process.exitCode = code ?? 1;
  } finally {
    server.kill('SIGTERM');
  }
}

async function terminateWorkers(workers, serverAddress) {
  // What the first worker opens for good, such as the thread pool's own descriptors, is not a leak.
  await terminateInFlight(serverAddress, 0);
  const before = await settled();
  let next = 1;
  const lane = async () => {
    while (next <= workers) await terminateInFlight(serverAddress, next++);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  const after = await settled();
  console.log(JSON.stringify({ workers, before, after }));
  const isClean = after.descriptors <= before.descriptors && after.mappings <= before.mappings;
  process.exitCode = isClean ? 0 : 1;
  process.disconnect();
}

async function terminateInFlight(serverAddress, index) {
  const worker = new Worker(self, { workerData: { address: serverAddress, index } });
  const failed = once(worker, 'error').then(([error]) => {
    throw error;
  });
  await Promise.race([once(worker, 'message'), failed]);
  failed.catch(() => {});
  await worker.terminate();
}

/** What is held once that no longer changes: closing goes on for some turns of the loop after a worker has ended. */
async function settled() {
  let last = held();
  for (let calm = 0; calm < 20; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const now = held();
    calm = now.descriptors === last.descriptors && now.mappings === last.mappings ? calm + 1 : 0;
    last = now;
  }
  return last;
}

function held() {
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    mappings: readFileSync('/proc/self/maps', 'utf8').split('/memfd:paipainet').length - 1,
  };
}
