import dns from 'node:dns';
import { EventEmitter } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import {
  closed,
  ended,
  gone,
  listening,
  once,
  type Scenes,
  settle,
  withFolder,
} from '../support.js';

/** What listens: how it begins, whom it takes, and how it ends. */

const count = (server: Server): Promise<number> =>
  new Promise((resolve, reject) =>
    server.getConnections((error, n) => (error === null ? resolve(n) : reject(error))),
  );

export const scenes: Scenes = {
  'listens twice, and closes twice': async (net, recorder) => {
    const server = recorder.server('server', net.createServer());
    server.listen(0, '127.0.0.1');
    recorder.attempt('again', () => server.listen(0));
    await once(server, 'listening');
    recorder.attempt('again', () => server.listen(0));
    server.close((error) => recorder.note('first close', error ?? null));
    server.close((error) => recorder.note('second close', error ?? null));
    await once(server, 'close');
    recorder.note('after', server.listening, server.address());
  },

  'closes without listening': async (net, recorder) => {
    const server = recorder.server('server', net.createServer());
    server.close((error) => recorder.note('callback', error ?? null));
    await once(server, 'close');
  },

  'closes while it begins to listen': async (net, recorder) => {
    const server = recorder.server('server', net.createServer());
    server.listen(0, '127.0.0.1', () => recorder.note('callback', 'listening'));
    server.close((error) => recorder.note('callback', error ?? null));
    await once(server, 'close');
    await settle(recorder);
  },

  'closes while it looks up': async (net, recorder) => {
    const { lookup } = dns;
    let answer = (): void => {};
    dns.lookup = ((...args: unknown[]) => {
      const callback = args.at(-1) as (...values: unknown[]) => void;
      answer = () => callback(null, '127.0.0.1', 4);
    }) as never;
    try {
      const server = recorder.server('server', net.createServer());
      server.listen(0, 'some.name');
      recorder.note('server', server.listening, server.address());
      server.close((error) => recorder.note('callback', error ?? null));
      await once(server, 'close');
      answer();
      await settle(recorder);
      if (server.listening) await ended(server);
    } finally {
      dns.lookup = lookup;
    }
  },

  'listens again once it is closed': async (net, recorder) => {
    const server = recorder.server(
      'server',
      net.createServer((socket) => socket.end('hello')),
    );
    for (let i = 0; i < 3; i++) {
      const port = await listening(server);
      await closed(recorder.socket(`client ${i}`, net.connect(port, '127.0.0.1')));
      await ended(server);
    }
  },

  'listens again after a port in use': async (net, recorder) => {
    const first = net.createServer();
    const port = await listening(first);
    const server = recorder.server('server', net.createServer());
    server.listen(port, '127.0.0.1');
    await once(server, 'error');
    await ended(first);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    await closed(recorder.socket('client', net.connect(port, '127.0.0.1').end()));
    await ended(server);
  },

  'listens again in a handler of error': async (net, recorder) => {
    const first = net.createServer();
    const port = await listening(first);
    const server = recorder.server('server', net.createServer());
    server.listen(port, '127.0.0.1');
    server.once('error', () => server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    await ended(server);
    await ended(first);
  },

  'closes with connections that stand': async (net, recorder) => {
    const server = recorder.server('server', net.createServer());
    const port = await listening(server);
    const accepting = once(server, 'connection');
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    const [accepted] = await accepting;
    recorder.socket('accepted', accepted);
    server.close(() => recorder.note('callback', 'closed'));
    await settle(recorder);
    recorder.note('server', server.listening, server.address());
    await closed(recorder.socket('late', net.connect(port, '127.0.0.1')));
    client.end('still here');
    await closed(server, client, accepted);
  },

  'closes in a handler of connection': async (net, recorder) => {
    const server = recorder.server('server', net.createServer());
    const port = await listening(server);
    server.once('connection', (socket) => {
      recorder.socket('accepted', socket);
      server.close();
      socket.end('the last');
    });
    await closed(recorder.socket('client', net.connect(port, '127.0.0.1')), server);
  },

  'more connections than it takes': async (net, recorder) => {
    const server = recorder.server(
      'server',
      net.createServer((socket) => socket.resume()),
    );
    server.maxConnections = 1;
    const port = await listening(server);
    const first = recorder.socket('first', net.connect(port, '127.0.0.1'));
    await once(server, 'connection');
    server.removeAllListeners('drop');
    server.on('drop', (data) => {
      const { localAddress, localFamily, remoteAddress, remoteFamily } = data!;
      recorder.note('drop', Object.keys(data!));
      recorder.note('drop', localAddress, localFamily, remoteAddress, remoteFamily);
      recorder.note('drop', data!.localPort === port, typeof data!.remotePort);
    });
    await closed(recorder.socket('second', net.connect(port, '127.0.0.1')));
    first.end();
    await closed(first);
    await settle(recorder);
    const third = recorder.socket('third', net.connect(port, '127.0.0.1'));
    await once(server, 'connection');
    third.end();
    await ended(server, third);
  },

  'no connection at all': async (net, recorder) => {
    const server = net.createServer();
    server.maxConnections = 0;
    const port = await listening(server);
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    // Not every version takes that for a limit.
    await Promise.race([closed(client), once(server, 'connection')]);
    await gone(client);
    await ended(server);
  },

  'pauses on connect': async (net, recorder) => {
    const server = net.createServer({ pauseOnConnect: true });
    const port = await listening(server);
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    client.write('x');
    const [accepted] = await once(server, 'connection');
    recorder.note('paused', accepted.isPaused(), accepted.bytesRead);
    recorder.socket('accepted', accepted);
    await settle(recorder);
    accepted.resume();
    client.end();
    await ended(server, client, accepted);
  },

  'counted connections': async (net, recorder) => {
    const server = net.createServer();
    const port = await listening(server);
    const clients = [net.connect(port), net.connect(port)];
    for (const _ of clients) await once(server, 'connection');
    recorder.note('count', await count(server));
    for (const client of clients) await gone(client);
    await settle(recorder);
    await ended(server);
    recorder.note('count', await count(server));
  },

  'options of its sockets': async (net, recorder) => {
    const server = net.createServer({ allowHalfOpen: true, highWaterMark: 1_024 });
    const port = await listening(server);
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    const [accepted] = await once(server, 'connection');
    recorder.note('accepted', accepted.allowHalfOpen, accepted.server === server);
    recorder.note('accepted', accepted.readableHighWaterMark, accepted.writableHighWaterMark);
    recorder.note('accepted', accepted.constructor === net.Socket, accepted instanceof net.Socket);
    recorder.note('accepted', accepted.connecting, accepted.pending, accepted.readyState);
    client.destroy();
    accepted.destroy();
    await ended(server, client, accepted);
  },

  'IPv6 alone': async (net, recorder) => {
    const server = recorder.server(
      'server',
      net.createServer((socket) => socket.end()),
    );
    const port = await listening(server, { host: '::', ipv6Only: true });
    recorder.note('server', (server.address() as AddressInfo).family);
    await closed(recorder.socket('four', net.connect(port, '127.0.0.1')));
    await closed(recorder.socket('six', net.connect(port, '::1').resume()));
    await ended(server);
  },

  'an address of each kind': async (net, recorder) => {
    const server = net.createServer();
    recorder.note('before', server.address());
    await listening(server);
    recorder.note('listening', server.address());
    const closing = closed(server);
    server.close();
    recorder.note('closing', server.address());
    await closing;
  },

  'a signal': async (net, recorder) => {
    const controller = new AbortController();
    const server = recorder.server('server', net.createServer());
    server.listen({ port: 0, host: '127.0.0.1', signal: controller.signal });
    await once(server, 'listening');
    controller.abort();
    await once(server, 'close');
    const late = recorder.server('late', net.createServer());
    recorder.attempt('late', () => late.listen({ port: 0, signal: controller.signal }));
    await once(late, 'close');
  },

  'disposed of': async (net, recorder) => {
    const server = recorder.server('server', net.createServer());
    await listening(server);
    await server[Symbol.asyncDispose]();
    recorder.note('server', server.listening);
    await server[Symbol.asyncDispose]().catch((error) => recorder.note('again', error));
  },

  'a handler that rejects': async (net, recorder) => {
    EventEmitter.captureRejections = true;
    const server = recorder.server('server', net.createServer());
    EventEmitter.captureRejections = false;
    server.on('connection', async (socket) => {
      recorder.socket('accepted', socket);
      throw new Error('rejected by the handler');
    });
    const port = await listening(server);
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    client.on('error', () => {});
    await closed(client);
    await ended(server);
  },

  'unreferenced, and referenced': async (net, recorder) => {
    const server = net.createServer();
    recorder.note('returns', server.unref() === server, server.ref() === server);
    await listening(server);
    recorder.note('returns', server.unref() === server, server.ref() === server);
    await ended(server);
    recorder.note('returns', server.unref() === server, server.ref() === server);
  },

  'on the handle of another': async (net, recorder) => {
    const first = net.createServer();
    const port = await listening(first);
    const second = recorder.server('second', net.createServer());
    second.listen(first);
    await once(second, 'listening');
    recorder.note('same', (second.address() as AddressInfo).port === port);
    second.on('connection', (socket) => recorder.socket('accepted', socket).end('hello'));
    await closed(recorder.socket('client', net.connect(port, '127.0.0.1')));
    second.close();
    await closed(second);
  },

  'on a descriptor': async (net, recorder) => {
    const first = net.createServer();
    const port = await listening(first);
    const { fd } = (first as never as { _handle: { fd: number } })._handle;
    const second = recorder.server('second', net.createServer());
    second.on('connection', (socket) => recorder.socket('accepted', socket).end('hello'));
    const spawned = net.createServer();
    recorder.attempt('a wrong one', () => spawned.listen({ fd: 1e9 }));
    await once(spawned, 'error').then(([error]) => recorder.note('a wrong one', error.code));
    recorder.note('same', fd >= 0, port > 0);
    await ended(first);
  },

  'many at once': async (net, recorder) => {
    const server = net.createServer((socket) => socket.pipe(socket));
    const port = await listening(server, { backlog: 64 });
    const clients = Array.from({ length: 40 }, (_, i) => {
      const client = recorder.socket(`client ${i}`, net.connect(port, '127.0.0.1'));
      client.end(`bytes of ${i}`);
      return client;
    });
    await closed(...clients);
    await ended(server);
  },

  'errors that nobody listens for': async (net, recorder) => {
    const first = net.createServer();
    const port = await listening(first);
    const second = net.createServer();
    second.listen(port, '127.0.0.1');
    await settle(recorder);
    await ended(first);
  },

  'a server as a class': (net, recorder) =>
    withFolder(async (folder) => {
      class Counting extends net.Server {
        count = 0;
        override listen(...args: unknown[]): this {
          this.count++;
          return Reflect.apply(super.listen, this, args);
        }
      }
      const server = recorder.server('server', new Counting());
      server.listen(`${folder}/s`);
      await once(server, 'listening');
      const accepting = once(server, 'connection');
      const client = recorder.socket('client', net.connect(`${folder}/s`));
      const [accepted] = await accepting;
      recorder.socket('accepted', accepted).end('hello');
      await closed(client, accepted);
      recorder.note('server', server.count, server.constructor.name);
      await ended(server);
    }),
};
