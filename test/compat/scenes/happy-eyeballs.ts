import { Worker } from 'node:worker_threads';
import { closed, ended, gone, listening, once, type Scenes, withServer } from '../support.js';

/** Several addresses: who is tried, in which order, for how long, and what comes of it. */

const four = (address: string) => ({ address, family: 4 });
const six = (address: string) => ({ address, family: 6 });

/** How long a silent one is waited for. */
const patience = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 10 };

/** A look-up that answers with these. */
export function lookupAll(addresses: readonly object[]): never {
  const lookup = (
    _host: string,
    options: { all?: boolean },
    answer: (...values: unknown[]) => void,
  ): void => {
    const { address, family } = addresses[0] as { address?: string; family?: number };
    if (options.all === true) answer(null, addresses);
    else answer(null, address, family);
  };
  return lookup as never;
}

/**
 * An address on loopback that answers no attempt: its queue is full, and its thread does not come to accept.
 * Ends with what it returns.
 */
export async function silentPort(): Promise<{ port: number; end(): Promise<void> }> {
  const worker = new Worker(
    `const net = require('node:net');
     const { parentPort } = require('node:worker_threads');
     const server = net.createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       const { port } = server.address();
       for (let i = 0; i < 3; i++) net.connect(port, '127.0.0.1');
       // The attempts are made in ticks; what comes of them is not seen here any more.
       process.nextTick(() => process.nextTick(() => {
         parentPort.postMessage(port);
         Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
       }));
     });`,
    { eval: true },
  );
  const [port] = await once(worker, 'message');
  return {
    port,
    async end() {
      await worker.terminate();
    },
  };
}

export const scenes: Scenes = {
  'the first answers': withServer(async (net, recorder, { port }) => {
    const lookup = lookupAll([four('127.0.0.1'), six('::1')]);
    const socket = net.connect({ port, host: 'some.name', lookup, autoSelectFamily: true });
    recorder.socket('client', socket);
    await once(socket, 'connect');
    recorder.note('client', socket.remoteAddress, socket.autoSelectFamilyAttemptedAddresses);
    socket.end('bytes');
    await closed(socket);
  }),

  'the last answers': withServer(async (net, recorder, { port }) => {
    const lookup = lookupAll([four('127.0.0.9'), six('::1'), four('127.0.0.8'), four('127.0.0.1')]);
    const socket = net.connect({ port, host: 'some.name', lookup, autoSelectFamily: true });
    recorder.socket('client', socket);
    socket.write('written before');
    await once(socket, 'connect');
    recorder.note('client', socket.remoteAddress, socket.autoSelectFamilyAttemptedAddresses);
    socket.end('bytes');
    await closed(socket);
  }),

  'none answers': withServer(async (net, recorder, { refusedPort: port }) => {
    const lookup = lookupAll([four('127.0.0.9'), six('::1'), four('127.0.0.1')]);
    const socket = net.connect({ port, host: 'some.name', lookup, autoSelectFamily: true });
    recorder.socket('client', socket);
    await closed(socket);
    recorder.note('client', socket.autoSelectFamilyAttemptedAddresses);
  }),

  'only the first is tried without': withServer(async (net, recorder, { port }) => {
    const lookup = lookupAll([four('127.0.0.9'), four('127.0.0.1')]);
    const socket = net.connect({ port, host: 'some.name', lookup, autoSelectFamily: false });
    recorder.socket('client', socket);
    await closed(socket);
    recorder.note('client', socket.autoSelectFamilyAttemptedAddresses ?? null);
  }),

  'one that is silent, then none': async (net, recorder) => {
    const silent = await silentPort();
    const lookup = lookupAll([four('127.0.0.1'), six('::1'), four('127.0.0.2')]);
    const { port } = silent;
    const socket = net.connect({ ...patience, port, host: 'some.name', lookup });
    recorder.socket('client', socket);
    await closed(socket);
    recorder.note('client', socket.autoSelectFamilyAttemptedAddresses);
    await silent.end();
  },

  'one that is silent, then one that answers': async (net, recorder) => {
    const silent = await silentPort();
    const { port } = silent;
    const server = net.createServer((socket) => socket.resume());
    await listening(server, { port, host: '127.0.0.2' });
    const lookup = lookupAll([four('127.0.0.1'), four('127.0.0.2')]);
    const socket = net.connect({ ...patience, port, host: 'some.name', lookup });
    recorder.socket('client', socket);
    await once(socket, 'connect');
    recorder.note('client', socket.remoteAddress, socket.autoSelectFamilyAttemptedAddresses);
    socket.end('bytes');
    await ended(server, socket);
    await silent.end();
  },

  'gone between attempts': withServer(async (net, recorder, { refusedPort: port }) => {
    const lookup = lookupAll([four('127.0.0.9'), six('::1'), four('127.0.0.1')]);
    for (const event of ['lookup', 'connectionAttempt', 'connectionAttemptFailed']) {
      const socket = net.connect({ port, host: 'some.name', lookup, autoSelectFamily: true });
      recorder.socket(event, socket);
      socket.once(event, () => socket.destroy());
      await closed(socket);
    }
  }),

  'local addresses of both families': withServer(async (net, recorder, { port }) => {
    const lookup = lookupAll([six('::1'), four('127.0.0.1')]);
    for (const localAddress of ['127.0.0.3', '::1']) {
      const socket = net.connect({
        port,
        host: 'some.name',
        lookup,
        autoSelectFamily: true,
        localAddress,
      });
      recorder.socket(localAddress, socket);
      await Promise.race([once(socket, 'connect'), closed(socket)]);
      await gone(socket);
    }
  }),

  'defaults that are set': withServer(async (net, recorder, { port }) => {
    const isOn = net.getDefaultAutoSelectFamily();
    const attemptMs = net.getDefaultAutoSelectFamilyAttemptTimeout();
    recorder.note('defaults', isOn, attemptMs);
    try {
      for (const each of [false, true]) {
        net.setDefaultAutoSelectFamily(each);
        recorder.note('set', net.getDefaultAutoSelectFamily());
        const lookup = lookupAll([four('127.0.0.9'), four('127.0.0.1')]);
        const socket = recorder.socket(`${each}`, net.connect({ port, host: 'some.name', lookup }));
        await Promise.race([once(socket, 'connect'), closed(socket)]);
        await gone(socket);
      }
      for (const each of [1, 10, 500]) {
        net.setDefaultAutoSelectFamilyAttemptTimeout(each);
        recorder.note('set', net.getDefaultAutoSelectFamilyAttemptTimeout());
      }
      recorder.attempt('refused', () => net.setDefaultAutoSelectFamily('yes' as never));
      recorder.attempt('refused', () => net.setDefaultAutoSelectFamilyAttemptTimeout(0));
      recorder.attempt('refused', () => net.setDefaultAutoSelectFamilyAttemptTimeout('1' as never));
    } finally {
      net.setDefaultAutoSelectFamily(isOn);
      net.setDefaultAutoSelectFamilyAttemptTimeout(attemptMs);
    }
  }),
};
