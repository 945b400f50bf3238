import type { OnReadOpts, Socket } from 'node:net';
import type { Recorder } from '../recorder.js';
import { closed, ended, listening, once, type Scenes, settle } from '../support.js';
import type { Script } from '../ways.js';

/** Reading into memory of the user's own. */

/** A client whose `onread` is this, and a server that says what `script` makes it say. */
function reading(
  onread: (recorder: Recorder) => OnReadOpts,
  script: (accepted: Socket, client: Socket, recorder: Recorder) => void | Promise<void>,
): Script {
  return async (net, recorder) => {
    const server = net.createServer();
    const port = await listening(server);
    const accepting = once(server, 'connection');
    const client = net.connect({ port, host: '127.0.0.1', onread: onread(recorder) });
    recorder.socket('client', client);
    const [accepted] = await accepting;
    recorder.socket('accepted', accepted);
    await settle(recorder);
    await script(accepted, client, recorder);
    await ended(server, client, accepted);
  };
}

const text = (bytes: Uint8Array, count: number): string =>
  Buffer.from(bytes).toString('latin1', 0, count);

const into =
  (buffer: Uint8Array | (() => Uint8Array), goesOn: (count: number) => boolean = () => true) =>
  (recorder: Recorder): OnReadOpts => ({
    buffer,
    callback(count, bytes) {
      recorder.note('onread', count, text(bytes, count));
      return goesOn(count);
    },
  });

/** A function that makes these one after the other, and the last one again and again. */
const oneAfterTheOther = (...made: readonly unknown[]): (() => Uint8Array) => {
  let count = 0;
  return () => made[Math.min(count++, made.length - 1)] as Uint8Array;
};

export const scenes: Scenes = {
  'an empty buffer': reading(into(Buffer.alloc(0)), (accepted) => {
    accepted.end('nowhere to go');
  }),

  'a buffer that is followed by an empty one': reading(
    (recorder) => into(oneAfterTheOther(Buffer.alloc(4), Buffer.alloc(0)))(recorder),
    (accepted) => {
      accepted.end('01234567');
    },
  ),

  'a function that makes no buffer at first': reading(
    (recorder) => into(oneAfterTheOther(undefined, Buffer.alloc(4)))(recorder),
    async (accepted, client, recorder) => {
      await settle(recorder);
      client.destroy();
      accepted.destroy();
    },
  ),

  'a function that makes no other buffer': reading(
    (recorder) => into(oneAfterTheOther(Buffer.alloc(4), null))(recorder),
    (accepted) => {
      accepted.end('01234567');
    },
  ),

  'a callback that throws': reading(
    into(Buffer.alloc(64), () => {
      throw new Error('of the user');
    }),
    async (accepted, client, recorder) => {
      accepted.write('one');
      await settle(recorder);
      accepted.write('two');
      await settle(recorder);
      client.destroy();
      accepted.destroy();
    },
  ),

  'much into one buffer': async (net, recorder) => {
    const sent = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 31 + (i >> 8)) & 255));
    const server = net.createServer((socket) => socket.end(sent));
    const port = await listening(server);
    const received: Buffer[] = [];
    const buffer = Buffer.alloc(50_000);
    const client = net.connect({
      port,
      host: '127.0.0.1',
      onread: {
        buffer,
        callback: (count) => received.push(Buffer.from(buffer.subarray(0, count))) > 0,
      },
    });
    await closed(client);
    recorder.note('read', client.bytesRead, Buffer.concat(received).equals(sent));
    await ended(server);
  },

  'one buffer of several': async (net, recorder) => {
    const server = net.createServer((socket) => {
      socket.on('data', (said) => socket.write(`heard ${said}`));
    });
    const port = await listening(server);
    const buffer = Buffer.alloc(64);
    const clients: Socket[] = [];
    const heard: string[] = [];
    for (let i = 0; i < 5; i++) {
      const onread = {
        buffer,
        callback: (count: number) => heard.push(`${i} ${text(buffer, count)}`) > 0,
      };
      const client = net.connect({ port, host: '127.0.0.1', onread });
      await once(client, 'connect');
      clients.push(client);
    }
    for (let round = 0; round < 20; round++) {
      for (const [i, client] of clients.entries()) client.write(`${i}${round}`);
      await settle(recorder);
    }
    recorder.note('heard', heard.sort());
    for (const client of clients) client.destroy();
    await ended(server, ...clients);
  },

  'paused by the callback, while more and the end come': reading(
    into(Buffer.alloc(4), () => false),
    async (accepted, client, recorder) => {
      client.pause();
      accepted.end('0123456789abcdef');
      await settle(recorder);
      for (let i = 0; i < 6; i++) {
        client.resume();
        await settle(recorder);
        recorder.note('paused', client.isPaused(), client.bytesRead, client.readableEnded);
      }
    },
  ),

  'destroyed in the turn in which it is resumed': reading(
    into(Buffer.alloc(4)),
    async (accepted, client, recorder) => {
      client.pause();
      accepted.write('0123456789');
      await settle(recorder);
      client.resume();
      client.destroy();
      await settle(recorder);
    },
  ),

  'paused by another that is read in the same turn': async (net, recorder) => {
    const server = net.createServer((socket) => socket.resume());
    const port = await listening(server);
    const accepted: Socket[] = [];
    server.on('connection', (socket) => accepted.push(socket));
    const clients: Socket[] = [];
    let readCount = 0;
    for (let i = 0; i < 2; i++) {
      const buffer = Buffer.alloc(8);
      const onread = {
        buffer,
        callback(count: number): boolean {
          recorder.note('onread', readCount++, text(buffer, count));
          for (const each of clients) if (each !== clients[i]) each.pause();
          return true;
        },
      };
      const client = net.connect({ port, host: '127.0.0.1', onread });
      clients.push(client);
      await once(client, 'connect');
    }
    while (accepted.length < 2) await once(server, 'connection');
    for (const socket of accepted) socket.write('bytes');
    await settle(recorder);
    for (const client of clients) client.resume();
    await settle(recorder);
    recorder.note('all', readCount);
    for (const client of clients) client.destroy();
    await ended(server, ...clients);
  },

  'one buffer': reading(into(Buffer.alloc(64)), (accepted) => {
    accepted.end('into the buffer');
  }),

  'an array of bytes': reading(into(new Uint8Array(64)), (accepted) => {
    accepted.end('into the array');
  }),

  'a buffer that is too small': reading(into(Buffer.alloc(4)), (accepted) => {
    accepted.end('more than it takes');
  }),

  'a buffer for each read': reading(
    (recorder) => {
      let count = 0;
      return {
        buffer: () => Buffer.alloc(4 + (count++ % 3)),
        callback(bytesRead, buffer) {
          recorder.note('onread', bytesRead, buffer.length, text(buffer, bytesRead));
          return true;
        },
      };
    },
    (accepted) => {
      accepted.end('some bytes for several buffers');
    },
  ),

  'paused by what the callback returns': reading(
    into(Buffer.alloc(4), () => false),
    async (accepted, client, recorder) => {
      accepted.end('0123456789');
      for (let i = 0; i < 4; i++) {
        await settle(recorder);
        recorder.note('paused', client.isPaused(), client.bytesRead);
        client.resume();
      }
    },
  ),

  'destroyed by the callback': async (net, recorder) => {
    const server = net.createServer((socket) => socket.end('0123456789'));
    const port = await listening(server);
    const client: Socket = net.connect({
      port,
      host: '127.0.0.1',
      onread: {
        buffer: Buffer.alloc(4),
        callback(count) {
          recorder.note('onread', count);
          client.destroy();
          return true;
        },
      },
    });
    recorder.socket('client', client);
    await closed(client);
    await ended(server);
  },

  'written meanwhile': reading(into(Buffer.alloc(64)), async (accepted, client, recorder) => {
    accepted.on('data', (chunk) => accepted.write(`heard ${chunk}`));
    client.write('one');
    await settle(recorder);
    client.end('two');
  }),

  'what it cannot be': async (net, recorder) => {
    const port = 1;
    const wrong: Record<string, unknown> = {
      'no buffer': { callback: () => true },
      'no callback': { buffer: Buffer.alloc(4) },
      'a buffer of words': { buffer: 'x', callback: () => true },
      'a callback of words': { buffer: Buffer.alloc(4), callback: 'x' },
      null: null,
      'an empty buffer': { buffer: Buffer.alloc(0), callback: () => true },
    };
    for (const [name, onread] of Object.entries(wrong)) {
      const socket = recorder.attempt(name, () =>
        net.connect({ port, host: '127.0.0.1', onread: onread as OnReadOpts }),
      );
      if (socket !== undefined) await closed(recorder.socket(name, socket));
    }
  },
};
