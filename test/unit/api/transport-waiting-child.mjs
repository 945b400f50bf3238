import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { connect, listen } from '../../../dist/api/transport.js';

const options = { engine: 'native', waiting: { spinMicroseconds: 10_000_000 } };

/** Serves until its standard input ends. */
async function server() {
  const listener = await listen('tcp://127.0.0.1:0', {
    ...options,
    methods: { echo: (payload) => payload, leave: (_payload, { peer }) => peer.destroy() },
  });
  console.log(listener.address);
  process.stdin.resume();
  await once(process.stdin, 'end');
  await listener.close();
}

/** Terminates workers while they spin, some with a request under way. */
async function workers() {
  const listener = await listen('tcp://127.0.0.1:0', {
    ...options,
    methods: { echo: (payload) => payload, never: () => new Promise(() => {}) },
  });
  for (let i = 0; i < 8; i++) {
    const worker = new Worker(new URL(import.meta.url), { argv: ['worker', listener.address] });
    await once(worker, 'message');
    await worker.terminate();
  }
  await listener.close();
  console.log('all ended');
}

async function worker(address) {
  const peer = await connect(address, options);
  peer.request('never').catch(() => {});
  for (let i = 0; ; i++) {
    await peer.request('echo', Buffer.from('spinning'));
    if (i === 10) parentPort.postMessage('spinning');
  }
}

const [scenario, address] = process.argv.slice(2);
if (!isMainThread) await worker(address);
else if (scenario === 'server') await server();
else await workers();
