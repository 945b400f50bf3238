import { AsyncLocalStorage, executionAsyncId } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import type { Socket, SocketConstructorOpts } from 'node:net';
import { join } from 'node:path';
import {
  between,
  closed,
  ended,
  gone,
  listening,
  once,
  pair,
  type Scenes,
  settle,
  withFolder,
  withServer,
} from '../support.js';

/** Signals, descriptors, who watches, and to which context what happens belongs. */

const followed = ['connect', 'ready', 'data', 'end', 'drain', 'finish', 'error', 'close'] as const;

export const scenes: Scenes = {
  'aborted before it is made': withServer(async (net, recorder, { port }) => {
    const signal = AbortSignal.abort(new Error('a reason'));
    for (const onRead of ['data', 'nothing']) {
      const client = new net.Socket({ signal } as SocketConstructorOpts);
      recorder.socket(onRead, client, { reads: onRead === 'data' });
      recorder.attempt(onRead, () => client.connect(port, '127.0.0.1'));
      await closed(client);
    }
  }),

  'aborted while connecting': withServer(async (net, recorder, { port }) => {
    const controller = new AbortController();
    const client = net.connect({ port, host: '127.0.0.1', signal: controller.signal });
    recorder.socket('client', client);
    controller.abort();
    recorder.note('aborted', client.destroyed, client.connecting);
    await closed(client);
  }),

  'aborted while it looks up': withServer(async (net, recorder, { port }) => {
    const controller = new AbortController();
    const client = net.connect({ port, host: 'localhost', signal: controller.signal });
    recorder.socket('client', client);
    controller.abort();
    await closed(client);
  }),

  'aborted when connected': withServer(async (net, recorder, { port }) => {
    const controller = new AbortController();
    const client = net.connect({ port, host: '127.0.0.1', signal: controller.signal });
    recorder.socket('client', client);
    await once(client, 'connect');
    client.write('x', (error) => recorder.note('callback', error ?? null));
    controller.abort(new Error('a reason'));
    await closed(client);
  }),

  'aborted when it is over': withServer(async (net, recorder, { port }) => {
    const controller = new AbortController();
    const client = net.connect({ port, host: '127.0.0.1', signal: controller.signal });
    recorder.socket('client', client);
    client.end();
    await closed(client);
    controller.abort();
    await settle(recorder);
  }),

  'aborted with bytes that wait': async (net, recorder) => {
    const controller = new AbortController();
    const { server, client, accepted } = await pair(net, recorder, {
      client: { signal: controller.signal },
    });
    accepted.pause();
    client.write(Buffer.alloc(8 << 20), (error) => recorder.note('callback', error ?? null));
    await settle(recorder);
    controller.abort();
    await settle(recorder);
    accepted.destroy();
    await ended(server, client, accepted);
  },

  'a connect that is wrapped is noticed': withServer(async (net, recorder, { port }) => {
    // As tracing tools do.
    const { prototype } = net.Socket;
    const own = Object.getOwnPropertyDescriptor(prototype, 'connect')!;
    const wrapped = prototype.connect;
    prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
      recorder.note('wrapped', args.length);
      return Reflect.apply(wrapped, this, args);
    } as never;
    try {
      for (const client of [
        net.connect(port, '127.0.0.1'),
        net.createConnection({ port, host: '127.0.0.1' }),
        new net.Socket().connect(port, '127.0.0.1'),
      ]) {
        await once(recorder.socket('client', client), 'connect');
        await gone(client);
      }
    } finally {
      Object.defineProperty(prototype, 'connect', own);
    }
  }),

  'members that are wrapped are called': withServer(async (net, recorder, { port }) => {
    const { prototype } = net.Socket;
    const names = ['end', '_write', '_final', '_read', '_destroy', 'destroy'] as const;
    const own = names.map((name) => Object.getOwnPropertyDescriptor(prototype, name));
    for (const name of names) {
      const wrapped = Reflect.get(prototype, name) as (...args: unknown[]) => unknown;
      Object.defineProperty(prototype, name, {
        value(this: Socket, ...args: unknown[]) {
          if (this === client) recorder.note('called', name);
          return Reflect.apply(wrapped, this, args);
        },
        configurable: true,
        writable: true,
      });
    }
    const client = new net.Socket();
    try {
      recorder.socket('client', client).connect(port, '127.0.0.1');
      await once(client, 'connect');
      client.write('x');
      await settle(recorder);
      client.end('y');
      await closed(client);
    } finally {
      for (const [i, name] of names.entries()) {
        if (own[i] === undefined) Reflect.deleteProperty(prototype, name);
        else Object.defineProperty(prototype, name, own[i]);
      }
    }
  }),

  'members of one object are called': between(async (client, accepted, recorder) => {
    const { write, push } = client;
    client.write = function (this: Socket, ...args: unknown[]) {
      recorder.note('called', 'write');
      return Reflect.apply(write, this, args);
    } as never;
    client.push = function (this: Socket, ...args: unknown[]) {
      recorder.note('called', 'push', args[0] === null ? null : String(args[0]));
      return Reflect.apply(push, this, args);
    } as never;
    const { emit } = accepted;
    accepted.emit = function (this: Socket, ...args: unknown[]) {
      recorder.note('emitted', args[0]);
      return Reflect.apply(emit, this, args);
    } as never;
    client.write('x');
    await once(accepted, 'data');
    accepted.end('answer');
    await once(client, 'end');
  }),

  'a descriptor of a pipe': (net, recorder) =>
    withFolder(async (folder) => {
      const path = join(folder, 'fifo');
      execFileSync('mkfifo', [path]);
      // Read and write, so that opening waits for nobody.
      const fds = [openSync(path, 'r+'), openSync(path, 'r+')] as const;
      const reader = new net.Socket({ fd: fds[0], readable: true, writable: false });
      recorder.socket('reader', reader);
      const writer = new net.Socket({ fd: fds[1], readable: false, writable: true });
      recorder.socket('writer', writer);
      recorder.note('states', reader.readyState, writer.readyState, reader.pending);
      writer.write('through the pipe');
      await once(reader, 'data');
      await gone(writer);
      await gone(reader);
    }),

  'a descriptor of a file': (net, recorder) =>
    withFolder(async (folder) => {
      const fd = openSync(join(folder, 'file'), 'w+');
      recorder.attempt('file', () => new net.Socket({ fd }));
      closeSync(fd);
    }),

  'many that come and go leave nothing behind': async (net, recorder) => {
    const before = readdirSync('/proc/self/fd').length;
    const server = net.createServer((socket) => socket.on('error', () => {}).end('hello'));
    const port = await listening(server);
    for (let round = 0; round < 4; round++) {
      const clients = Array.from({ length: 25 }, (_, i) => {
        const client = net.connect(port, '127.0.0.1').on('error', () => {});
        if (i % 3 === 0) client.once('connect', () => client.resetAndDestroy());
        else if (i % 3 === 1) client.once('data', () => client.destroy());
        else client.resume();
        return client;
      });
      await closed(...clients);
    }
    await ended(server);
    await settle(recorder);
    recorder.note('descriptors', readdirSync('/proc/self/fd').length - before);
  },

  'memory of connections that came and went': async (net, recorder) => {
    // A count of what is open below /proc is the system's view, whoever carries them.
    const sockets = (): number =>
      Number(/^TCP: inuse (\d+)/m.exec(readFileSync('/proc/self/net/sockstat', 'utf8'))?.[1] ?? 0);
    recorder.note('sockets are counted', sockets() >= 0);
    const refs: WeakRef<Socket>[] = [];
    const server = net.createServer((socket) => socket.resume());
    const port = await listening(server);
    await (async () => {
      for (let i = 0; i < 20; i++) {
        const client = net.connect(port, '127.0.0.1');
        refs.push(new WeakRef(client));
        client.end('x');
        await closed(client.resume());
      }
    })();
    await ended(server);
    for (let i = 0; i < 4; i++) {
      await settle(recorder);
      (globalThis as { gc?: () => void }).gc!();
    }
    // The last one may still be held by what has just run.
    recorder.note('collected', refs.filter((ref) => ref.deref() === undefined).length >= 18);
  },

  'the context of what an event starts': async (net, recorder) => {
    const storage = new AsyncLocalStorage<string>();
    const server = net.createServer((socket) => {
      storage.enterWith('of this connection');
      socket.on('data', () => {
        recorder.note('accepted', 'data', storage.getStore());
        setImmediate(() => recorder.note('accepted', 'immediate', storage.getStore()));
        process.nextTick(() => recorder.note('accepted', 'tick', storage.getStore()));
        void Promise.resolve().then(() => recorder.note('accepted', 'promise', storage.getStore()));
        socket.end();
      });
    });
    const port = await listening(server);
    const client = storage.run('client', () => net.connect(port, '127.0.0.1').end('x'));
    await closed(recorder.socket('client', client));
    await settle(recorder);
    await ended(server);
  },

  'identities of what happens': between(async (client, accepted, recorder) => {
    // Numbers differ; that they are there does not.
    client.on('data', () => {
      recorder.note('client', 'has an identity', executionAsyncId() > 0);
    });
    accepted.write('x');
    await once(client, 'data');
    client.end();
  }),

  'the context of each event': async (net, recorder) => {
    const storage = new AsyncLocalStorage<string>();
    const server = net.createServer();
    const port = await storage.run('listens', () => listening(server));
    const sockets: Socket[] = [];
    storage.run('connection', () =>
      server.on('connection', (socket) => {
        recorder.note('server', 'connection', storage.getStore());
        for (const event of followed) {
          socket.on(event, () => recorder.note('accepted', event, storage.getStore()));
        }
        sockets.push(socket);
        storage.run('answers', () => socket.end('answer'));
      }),
    );
    const client = storage.run('connects', () => net.connect(port, '127.0.0.1'));
    storage.run('listens to events', () => {
      for (const event of followed) {
        client.on(event, () => recorder.note('client', event, storage.getStore()));
      }
    });
    storage.run('writes', () => {
      client.write('x', () => recorder.note('client', 'write callback', storage.getStore()));
    });
    await once(client, 'connect');
    storage.run('ends', () => {
      client.end('y', () => recorder.note('client', 'end callback', storage.getStore()));
    });
    await closed(client, ...sockets);
    await ended(server);
  },

  'the context of what is uncaught': async (net, recorder) => {
    const storage = new AsyncLocalStorage<string>();
    const hear = ({ message }: Error): void =>
      recorder.note('uncaught', message, storage.getStore());
    process.on('uncaughtException', hear);
    const fail = (message: string): void => {
      throw new Error(message);
    };
    const server = net.createServer((socket) => socket.pipe(socket));
    const port = await storage.run('listens', () => listening(server));
    const client = storage.run('connects', () => net.connect(port, '127.0.0.1'));
    client.on('data', (data) => {
      if (`${data}` === 'entered') storage.enterWith('entered');
      if (`${data}` === 'tick') storage.run('later', () => process.nextTick(fail, 'tick'));
      else if (`${data}` === 'microtask') queueMicrotask(() => fail('microtask'));
      else fail(`${data}`);
    });
    const closing = closed(client);
    client.on('close', () => fail('close'));
    await once(client, 'connect');
    for (const text of ['first', 'entered', 'next', 'tick', 'microtask']) {
      storage.run(text, () => client.write(text, () => fail(`callback of ${text}`)));
      await settle(recorder);
    }
    storage.run('ends', () => client.end(() => fail('callback of the end')));
    await settle(recorder);
    storage.run('destroys', () => client.destroy());
    await closing;
    await ended(server);
    await settle(recorder);
    process.off('uncaughtException', hear);
  },

  'contexts of writes that wait': between(async (client, accepted, recorder) => {
    const storage = new AsyncLocalStorage<number>();
    accepted.pause();
    for (let i = 0; i < 3; i++) {
      storage.run(i, () =>
        client.write(Buffer.alloc(4 << 20), () => recorder.note('callback', i, storage.getStore())),
      );
    }
    storage.run(9, () => accepted.resume());
    await once(client, 'drain');
    client.end();
    await once(accepted, 'end');
  }),
};
