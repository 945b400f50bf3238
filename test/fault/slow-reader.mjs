// A sender that never rests, and a reader that is stopped nine tenths of the time: how much memory does the sender take, and does each message
// that was queued come, once and in order? Prints one JSON object.
//
//   node --expose-gc test/fault/slow-reader.mjs SECONDS ENGINE PATH BYTES        ENGINE: native, js; PATH: auto, tcp; BYTES of a message

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { connect, isPaipaiError, listen } from 'paipainet/transport';

const mebi = 1024 * 1024;
const limitMiB = 32;
const stoppedMs = 450;
const runningMs = 50;

const [role, engine, path, messageBytes] = process.argv.slice(2);
if (role === 'reader') await read();
else await send(Number(role) * 1e3);

async function read() {
  let count = 0;
  let misplacedCount = 0;
  const listener = await listen('tcp://127.0.0.1:0', {
    engine,
    path,
    onMessage: (_, bytes) => {
      if (Buffer.from(bytes.buffer, bytes.byteOffset, 4).readUInt32LE(0) !== count++)
        misplacedCount++;
    },
    methods: { counts: () => Buffer.from(JSON.stringify({ count, misplacedCount })) },
  });
  process.send(listener.address);
}

async function send(runMs) {
  const reader = fork(fileURLToPath(import.meta.url), ['reader', engine, path]);
  try {
    await sendTo(reader, runMs);
  } finally {
    reader.kill('SIGKILL');
  }
}

async function sendTo(reader, runMs) {
  const [address] = await once(reader, 'message');
  const peer = await connect(address, { engine, path, queuedBytesMax: limitMiB * mebi });
  const events = { pressure: 0, drain: 0 };
  for (const name of ['pressure', 'drain']) peer.on(name, () => events[name]++);
  const message = Buffer.alloc(Number(messageBytes));
  const counts = { queued: 0, shed: 0 };

  /**
   * One message in each turn of the loop, so that nothing makes them travel together; on a slow machine for longer than `ms`, until it is
   * enough.
   */
  async function sendFor(ms, isEnough = () => true) {
    const untilMs = performance.now() + ms;
    do {
      message.writeUInt32LE(counts.queued, 0);
      try {
        peer.send('flood', message);
        counts.queued++;
      } catch (error) {
        if (!isPaipaiError(error, 'PAIPAI_ERR_BACK_PRESSURE')) throw error;
        counts.shed++;
      }
      await new Promise(setImmediate);
    } while (performance.now() < untilMs || !isEnough());
  }

  // What the first use takes for good, code and heap, is no part of the queue.
  for (let i = 0; i < 10_000; i++) {
    message.writeUInt32LE(counts.queued++, 0);
    if (!peer.send('flood', message)) await peer.drained();
  }
  await peer.request('counts');
  const baseMiB = await residentMiB();

  // Of short messages as many as are refused take longer than the reader should stand still.
  const isPressed = () => events.pressure > 0 && (message.length < 1_024 || counts.shed > 0);
  const samples = [];
  const endMs = performance.now() + runMs;
  while (performance.now() < endMs) {
    reader.kill('SIGSTOP');
    await sendFor(stoppedMs, isPressed);
    samples.push(await residentMiB());
    reader.kill('SIGCONT');
    await sendFor(runningMs);
  }

  await peer.drained();
  const delivered = JSON.parse(Buffer.from(await peer.request('counts')).toString());
  const result = {
    engine: peer.engine,
    path: peer.path,
    seconds: runMs / 1e3,
    messageBytes: message.length,
    ...counts,
    ...delivered,
    ...events,
    limitMiB,
    baseMiB,
    peakMiB: Math.max(...samples),
  };
  peer.destroy();
  console.log(JSON.stringify(result));
}

async function residentMiB() {
  globalThis.gc();
  // What the collector found is given back by a thread of its own.
  await new Promise((resolve) => setTimeout(resolve, 20));
  return Math.round(process.memoryUsage.rss() / mebi);
}
