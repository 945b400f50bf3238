import type { AddressInfo, Socket } from 'node:net';
import { between, closed, ended, listening, once, pair, type Scenes, settle } from '../support.js';

/** Peers that vanish, readers that are slow, handlers that throw. What takes a process with it is in `apps/`. */

export const scenes: Scenes = {
  'thrown by every handler': async (net, recorder) => {
    for (const event of ['connect', 'ready', 'data', 'end', 'finish', 'close']) {
      const server = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.pipe(socket);
      });
      const port = await listening(server);
      const client = recorder.socket(event, net.connect(port, '127.0.0.1'));
      client.on(event, () => {
        throw new Error(`thrown by ${event}`);
      });
      await once(server, 'connection');
      await settle(recorder);
      client.write('x');
      await settle(recorder);
      client.end();
      await settle(recorder);
      client.destroy();
      await closed(client);
      await ended(server);
    }
  },

  'thrown by callbacks': between(async (client, _accepted, recorder) => {
    client.write('x', () => {
      throw new Error('thrown by a write callback');
    });
    await settle(recorder);
    client.write(Buffer.alloc(1_000), () => {
      throw new Error('thrown by a later one');
    });
    await settle(recorder);
    client.end(() => {
      throw new Error('thrown by the end');
    });
    await settle(recorder);
  }),

  'thrown by a handler of connection': async (net, recorder) => {
    let accepted = 0;
    const server = net.createServer((socket) => {
      socket.end('hello');
      accepted++;
      throw new Error(`thrown by connection ${accepted}`);
    });
    const port = await listening(server);
    for (let i = 0; i < 3; i++) {
      await closed(recorder.socket(`client ${i}`, net.connect(port, '127.0.0.1')));
    }
    await ended(server);
  },

  'thrown by a handler of error': between(async (client, accepted, recorder) => {
    client.on('error', () => {
      throw new Error('thrown by error');
    });
    accepted.resetAndDestroy();
    await settle(recorder);
  }),

  'an error that nobody listens for': async (net, recorder) => {
    const server = net.createServer((socket) => socket.resetAndDestroy());
    const port = await listening(server);
    const client = net.connect(port, '127.0.0.1');
    client.on('close', (hadError) => recorder.note('client', 'close', hadError));
    client.resume();
    await closed(client);
    await settle(recorder);
    await ended(server);
  },

  'rejected by a handler': between(async (client, accepted, recorder) => {
    client.on('data', async () => {
      throw new Error('rejected by data');
    });
    accepted.write('x');
    await settle(recorder);
    client.end('still here');
  }),

  'what a handler leaves for later when it throws': between(async (client, accepted, recorder) => {
    const hear = ({ message }: Error): void => recorder.note('order', 'uncaught', message);
    process.on('uncaughtException', hear);
    for (const event of ['data', 'end']) {
      client.on(event, () => {
        process.nextTick(() => {
          recorder.note('order', event, 'a tick');
          throw new Error(`thrown by a tick of ${event}`);
        });
        process.nextTick(() => recorder.note('order', event, 'another'));
        void Promise.resolve().then(() => recorder.note('order', event, 'a promise'));
        throw new Error(`thrown by ${event}`);
      });
    }
    accepted.write('x');
    await settle(recorder);
    accepted.end();
    await settle(recorder);
    // Where a handler of the end has thrown, nothing follows it.
    client.destroy();
    process.off('uncaughtException', hear);
  }),

  'a thrown error beside others': async (net, recorder) => {
    const { server, client, accepted } = await pair(net, recorder);
    const { port } = server.address() as AddressInfo;
    const others: Socket[] = [];
    for (let i = 0; i < 3; i++) {
      const accepting = once(server, 'connection');
      others.push(net.connect(port, '127.0.0.1').resume());
      const [peer] = await accepting;
      recorder.socket(`other ${i}`, peer);
    }
    client.on('data', () => {
      throw new Error('thrown by data');
    });
    accepted.write('x');
    for (const [i, other] of others.entries()) other.end(`bytes ${i}`);
    await closed(...others);
    await settle(recorder);
    client.end();
    await ended(server, client, accepted);
  },

  'resets in the middle of many writes': async (net, recorder) => {
    for (let round = 0; round < 5; round++) {
      const server = net.createServer((socket) => {
        socket.on('error', () => {});
        let bytes = 0;
        socket.on('data', (chunk) => {
          bytes += chunk.length;
          if (bytes > 300_000 * round) socket.resetAndDestroy();
        });
      });
      const port = await listening(server);
      const client = net.connect(port, '127.0.0.1');
      const outcomes = new Set<string>();
      client.on('error', ({ code }: NodeJS.ErrnoException) => {
        // Which of them it is depends on who is first.
        outcomes.add(code === 'EPIPE' ? 'ECONNRESET' : `${code}`);
      });
      const fill = (): void => {
        while (!client.destroyed && client.write(Buffer.alloc(64 << 10))) {}
      };
      client.on('drain', fill);
      client.once('connect', fill);
      const [hadError] = await once(client, 'close');
      recorder.note('client', hadError, [...outcomes]);
      await ended(server);
    }
  },

  'a reader that stops for good': async (net, recorder) => {
    const { server, client, accepted } = await pair(net, recorder, { reads: false, counts: false });
    accepted.pause();
    let isFull = false;
    for (let i = 0; i < 64 && !isFull; i++) {
      client.write(Buffer.alloc(1 << 20));
      await settle(recorder);
      isFull = client.writableLength > 4 << 20;
    }
    recorder.note('client', 'full', isFull);
    client.destroy();
    await settle(recorder);
    accepted.resume();
    await ended(server, client, accepted);
  },

  'many slow readers beside a fast one': async (net, recorder) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.end(Buffer.alloc(8 << 20, 'abc'));
    });
    const port = await listening(server);
    const slow = Array.from({ length: 8 }, () => net.connect(port, '127.0.0.1').pause());
    for (const socket of slow) await once(socket, 'connect');
    const fast = recorder.socket('fast', net.connect(port, '127.0.0.1'));
    await closed(fast);
    for (const socket of slow) socket.resume();
    await closed(...slow);
    recorder.note('slow', ...slow.map(({ bytesRead }) => bytesRead));
    await ended(server);
  },

  'everything destroyed at once': async (net, recorder) => {
    const server = recorder.server('server', net.createServer());
    const port = await listening(server);
    const accepted: Socket[] = [];
    server.on('connection', (socket) => accepted.push(socket.on('error', () => {})));
    const clients = Array.from({ length: 30 }, () => net.connect(port, '127.0.0.1'));
    for (const client of clients) {
      client.on('error', () => {});
      client.write(Buffer.alloc(100_000));
    }
    await once(clients.at(-1)!, 'connect');
    await settle(recorder);
    server.close();
    for (const socket of [...clients, ...accepted]) socket.destroy();
    await closed(server, ...clients, ...accepted);
    recorder.note('accepted', accepted.length);
  },
};
