// Programs for native-exit.test.ts: `node child.mjs SCENARIO [ARGUMENT]`. Exit code 0 and what is printed are the answer.

import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { loadNative } from '../../dist/native/load.js';
import { parseAddress } from '../../dist/transport/address.js';
import { NativeNetwork } from '../../dist/transport/native-network.js';
import { FrameType } from '../../dist/wire/frame.js';

const loaded = loadNative();
if (!loaded.ok) throw new Error(loaded.reason);
const network = new NativeNetwork(loaded.binding);
const quiet = { onFrame() {}, onSink() {}, onDrain() {}, onClose() {} };
const loopback = parseAddress('tcp://127.0.0.1:0');

/** Two connected channels; the listener is closed. */
async function pair(address) {
  let accept;
  const accepted = new Promise((resolve) => {
    accept = resolve;
  });
  const listener = await network.listen(address, (channel) => {
    channel.receiver = quiet;
    accept(channel);
  });
  const client = await network.connect(listener.address);
  client.receiver = quiet;
  const server = await accepted;
  await listener.close();
  return [client, server];
}

const message = (channel, bytes) =>
  channel.send(
    FrameType.message,
    0,
    1,
    0,
    0,
    bytes === undefined ? undefined : new Uint8Array(bytes),
  );

/** Bulk into a sink, large frames and small ones, both ways, without end. */
async function transferForever(address, onStarted) {
  const [client, server] = await pair(address);
  const bytes = new Uint8Array(1024 * 1024);
  let streamId = 1;
  const nextBulk = () => {
    const id = streamId;
    streamId += 2;
    server.setSink(id, new Uint8Array(bytes.length));
    client.sendBulk(id, bytes, () => {});
  };
  server.receiver = {
    ...quiet,
    onFrame: () => message(server, 20),
    onSink: (id, landedBytes) => {
      if (landedBytes < bytes.length) return;
      server.clearSink(id);
      onStarted?.();
      nextBulk();
      message(client, 300_000);
      message(client, 200);
    },
  };
  nextBulk();
  nextBulk();
}

/** Open descriptors but for files: Node itself forgets those that a worker was loading modules from when it was terminated. */
function descriptors() {
  const isKept = (fd) => {
    try {
      return !readlinkSync(`/proc/self/fd/${fd}`).startsWith('/');
    } catch {
      return false; // The one that the folder was read through.
    }
  };
  return readdirSync('/proc/self/fd').filter(isKept).length;
}

/** Turns of the loop for `ms`; a timer would be too coarse. */
async function spin(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end) await new Promise((resolve) => setImmediate(resolve));
}

const scenarios = {
  // Nothing but a listener: the process stays until somebody has come.
  async 'listener alone'() {
    const listener = await network.listen(loopback, (channel) => {
      channel.receiver = { ...quiet, onFrame: () => channel.close() };
      void listener.close();
    });
    console.log(listener.address.port);
  },

  // Nothing but a connection, whose listener went in the turn in which it came.
  async 'connection alone'() {
    const listener = await network.listen(loopback, (channel) => {
      void listener.close();
      channel.receiver = {
        ...quiet,
        onFrame: () => {
          console.log('frame');
          channel.close();
        },
      };
    });
    console.log(listener.address.port);
  },

  // Unreferenced things keep nothing alive.
  async unref() {
    const listener = await network.listen(loopback, () => {});
    listener.unref();
    const [client, server] = await pair(loopback);
    client.unref();
    server.unref();
    console.log('end');
  },

  // The program ends in the middle of a delivery, with everything open.
  async 'exit inside a delivery'() {
    await network.listen(loopback, () => {});
    let count = 0;
    await transferForever(loopback, () => {
      if (++count === 5) process.exit(0);
    });
  },

  async 'uncaught inside a delivery'() {
    const [client, server] = await pair(loopback);
    server.receiver = {
      ...quiet,
      onFrame: () => {
        throw new Error('on purpose');
      },
    };
    message(client, 10);
    message(client, 100_000);
  },

  // A receiver that throws costs nobody else a frame.
  async 'throwing receiver'() {
    let thrownCount = 0;
    process.on('uncaughtException', () => thrownCount++);
    const [client, server] = await pair(loopback);
    const [other, otherServer] = await pair(loopback);
    let seen = 0;
    server.receiver = {
      ...quiet,
      onFrame: ({ argument }) => {
        seen++;
        if (argument % 2 === 1) throw new Error('on purpose');
      },
      onClose: () => console.log(JSON.stringify({ seen, otherSeen, thrownCount })),
    };
    let otherSeen = 0;
    otherServer.receiver = { ...quiet, onFrame: () => otherSeen++ };
    for (let i = 0; i < 100; i++) {
      client.send(FrameType.message, 0, 1, 0, i);
      message(other, 50);
    }
    other.close();
    client.close();
  },

  // Out of descriptors the listener rests, and the process with nothing else stays; later it goes on. Argument: port to come.
  async 'out of descriptors'() {
    const { openSync, closeSync } = await import('node:fs');
    const hoard = [];
    const listener = await network.listen(loopback, (channel) => {
      channel.receiver = { ...quiet, onFrame: () => channel.close() };
      void listener.close();
    });
    console.log(listener.address.port);
    process.stdin.once('data', () => {
      // One descriptor is in the queue of the system by now; there is none left for it here.
      process.stdin.destroy();
      setTimeout(() => {
        for (const fd of hoard) closeSync(fd);
      }, 250).unref();
    });
    try {
      for (;;) hoard.push(openSync('/dev/null'));
    } catch {
      console.log('full');
    }
  },

  // Workers terminated at every moment of their start and of a transfer. Argument: how many.
  async workers(total) {
    const folder = mkdtempSync(join(tmpdir(), 'paipai-workers-'));
    let descriptorsBefore = 0;
    let residentBefore = 0;
    try {
      for (let index = 0; index < total; index++) {
        const worker = new Worker(fileURLToPath(import.meta.url), {
          workerData: {
            scenario: 'worker',
            path: join(folder, String(index)),
            busy: index % 3 === 2,
          },
        });
        const exited = new Promise((resolve) => worker.once('exit', resolve));
        worker.on('error', (error) => {
          console.error(error);
          process.exitCode = 1;
        });
        // Every other one while it loads, at all its moments; the rest in the middle of a transfer.
        if (index % 2 === 0) await spin(index * 1.5);
        else
          await new Promise((resolve) => worker.once('message', resolve)).then(() =>
            wait((index * 7) % 23),
          );
        await worker.terminate();
        await exited;
        if (index === Math.floor(total / 3)) {
          globalThis.gc();
          descriptorsBefore = descriptors();
          residentBefore = process.memoryUsage().rss;
        }
      }
      globalThis.gc();
      const residentGrowth = process.memoryUsage().rss - residentBefore;
      console.log(
        JSON.stringify({ descriptorGrowth: descriptors() - descriptorsBefore, residentGrowth }),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  },

  async worker() {
    const { path, busy } = workerData;
    let count = 0;
    await transferForever(parseAddress(`unix://${path}`), () => {
      if (++count === 2) parentPort.postMessage('started');
      // Terminated inside a delivery.
      while (busy && count > 2) {}
    });
  },
};

const [name, argument] = isMainThread ? process.argv.slice(2) : [workerData.scenario];
await scenarios[name](argument);
