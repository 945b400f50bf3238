import type { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NetModule, Recorder } from './recorder.js';

/** What is done with `net` from beginning to end; whoever calls compares what `recorder` saw. */
export type Scenario = (net: NetModule, recorder: Recorder) => Promise<void>;

/** The next such event; an error meanwhile is the recorder's. */
// What an event carries is known where it is awaited.
// biome-ignore lint/suspicious/noExplicitAny: as `events.once` has it.
const once = (emitter: EventEmitter, event: string): Promise<any[]> =>
  new Promise((resolve) => emitter.once(event, (...values) => resolve(values)));

const closed = (...sockets: (Socket | Server)[]): Promise<unknown> =>
  Promise.all(
    sockets.map((each) => ('destroyed' in each && each.closed ? undefined : once(each, 'close'))),
  );

/** A server and one connection to it, both recorded. */
async function pair(
  net: NetModule,
  recorder: Recorder,
  { server: serverOptions = {}, client: clientOptions = {} } = {},
): Promise<{ server: Server; client: Socket; accepted: Socket }> {
  const server = net.createServer(serverOptions);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepting = once(server, 'connection');
  const { port } = server.address() as AddressInfo;
  const client = recorder.socket(
    'client',
    net.connect({ port, host: '127.0.0.1', ...clientOptions }),
  );
  const [accepted] = await accepting;
  recorder.socket('accepted', accepted);
  if (client.connecting) await once(client, 'connect');
  return { server, client, accepted };
}

async function ended(server: Server, ...sockets: Socket[]): Promise<void> {
  server.close();
  await closed(server, ...sockets);
}

/** A connection with these options, and what each side does with it. */
function between(
  script: (client: Socket, accepted: Socket, recorder: Recorder) => void | Promise<void>,
  options: { server?: object; client?: object } = {},
): Scenario {
  return async (net, recorder) => {
    const { server, client, accepted } = await pair(net, recorder, options);
    await script(client, accepted, recorder);
    await ended(server, client, accepted);
  };
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'echo and end': between(async (client, accepted) => {
    accepted.on('data', (chunk) => accepted.write(chunk));
    client.write('hello');
    await once(client, 'data');
    client.end('bye');
  }),

  'the server ends first': between((_client, accepted) => {
    accepted.end('all');
  }),

  'half-open on both sides': between(
    async (client, accepted) => {
      client.end('question');
      await once(accepted, 'end');
      accepted.write('answer');
      accepted.end();
    },
    { server: { allowHalfOpen: true }, client: { allowHalfOpen: true } },
  ),

  'half-open here only': between(
    async (client, accepted) => {
      accepted.end();
      await once(client, 'end');
      client.end('late');
    },
    { client: { allowHalfOpen: true } },
  ),

  'write after end': between((client, _accepted, recorder) => {
    client.end('last');
    client.write('too late', (error) => recorder.note('callback', error));
  }),

  'destroyed twice': between((client, _accepted, recorder) => {
    client.destroy(new Error('first'));
    client.destroy(new Error('second'));
    client.write('x', (error) => recorder.note('callback', error));
  }),

  'destroyed with writes under way': between((client, accepted, recorder) => {
    accepted.pause();
    for (let i = 0; i < 4; i++) {
      client.write(Buffer.alloc(8 << 20, i), (error) =>
        recorder.note(`callback ${i}`, error ?? null),
      );
    }
    client.destroy();
    accepted.destroy();
  }),

  'reset by the other side': between(async (client, accepted) => {
    accepted.write('x');
    await once(client, 'data');
    accepted.resetAndDestroy();
  }),

  'reset in the middle of writing': between(async (client, accepted) => {
    accepted.pause();
    client.write(Buffer.alloc(32 << 20));
    accepted.resetAndDestroy();
    await once(client, 'error');
  }),

  'written to after the other side is gone': between(
    async (client, accepted) => {
      accepted.destroy();
      await once(client, 'end');
    },
    { client: { allowHalfOpen: false } },
  ),

  'back pressure': between(async (client, accepted, recorder) => {
    accepted.pause();
    const size = 16 << 20;
    recorder.note(
      'write',
      client.write(Buffer.alloc(size, 1)),
      client.writableLength,
      client.writableNeedDrain,
    );
    setImmediate(() => accepted.resume());
    await once(client, 'drain');
    recorder.note('after', client.writableLength, client.bytesWritten);
    client.end();
    await once(accepted, 'end');
  }),

  'callbacks in order': between((client, _accepted, recorder) => {
    client.on('finish', () => recorder.note('order', 'finish event'));
    for (let i = 0; i < 5; i++) client.write(`${i}`, () => recorder.note('order', `write ${i}`));
    client.end(() => recorder.note('order', 'end callback'));
    process.nextTick(() => recorder.note('order', 'tick'));
  }),

  corked: between((client) => {
    client.cork();
    client.write('a');
    client.write(Buffer.from('b'));
    client.write('c', 'latin1');
    client.uncork();
    client.end('d');
  }),

  'all encodings': between((client) => {
    for (const encoding of ['utf8', 'latin1', 'ascii', 'ucs2'] as const)
      client.write('grüße €', encoding);
    client.write('68656c6c6f', 'hex');
    client.write('aGVsbG8=', 'base64');
    client.write('aGVsbG8', 'base64url');
    client.end();
  }),

  'encodings in capitals, and what they cannot decode': between((client) => {
    client.write('zzzz', 'HEX' as BufferEncoding);
    client.write('aGVs\nbG8=', 'BASE64' as BufferEncoding);
    client.write('6', 'hex');
    client.write('grüße', 'LATIN1' as BufferEncoding);
    client.end('x', 'UTF8' as BufferEncoding);
  }),

  'connecting what is connected': between(async (client, _accepted, recorder) => {
    client.connect(1, '127.0.0.1');
    recorder.note('now', client.connecting, client.readyState);
    await once(client, 'connect');
    client.end('still connected');
  }),

  'half-open, and ended from a timer': between(
    async (client, accepted, recorder) => {
      accepted.end('all');
      await once(client, 'end');
      await new Promise((resolve) => setTimeout(resolve, 1));
      client.end('late', () => recorder.note('callback', 'ended'));
    },
    { client: { allowHalfOpen: true } },
  ),

  'text beyond any buffer': between((client) => {
    client.write('é'.repeat(3 << 20));
    client.write('z'.repeat(3 << 20), 'latin1');
    client.end();
  }),

  'empty writes': between((client, _accepted, recorder) => {
    client.write('', () => recorder.note('callback', 'empty text'));
    client.write(Buffer.alloc(0), () => recorder.note('callback', 'empty buffer'));
    client.end('x');
  }),

  'text with setEncoding': between((client, accepted) => {
    accepted.setEncoding('utf8');
    client.write(Buffer.from('€').subarray(0, 1));
    setImmediate(() => client.end(Buffer.from('€').subarray(1)));
  }),

  'paused, then resumed': between(async (client, accepted) => {
    accepted.pause();
    client.write('kept');
    setImmediate(() => accepted.resume());
    await once(accepted, 'data');
    client.end();
  }),

  'a time-out': between(async (client) => {
    client.setTimeout(20);
    await once(client, 'timeout');
    client.setTimeout(0);
    client.end();
  }),

  'options of the socket': between((client, accepted, recorder) => {
    recorder.note(
      'returns',
      client.setNoDelay() === client,
      client.setKeepAlive(true, 1_000) === client,
    );
    recorder.note(
      'returns',
      client.setNoDelay(false) === client,
      client.setKeepAlive(false) === client,
    );
    recorder.note('returns', client.unref() === client, client.ref() === client);
    for (const socket of [client, accepted]) {
      const { localAddress, localFamily, remoteAddress, remoteFamily, remotePort, localPort } =
        socket;
      recorder.note('names', localAddress, localFamily, remoteAddress, remoteFamily);
      recorder.note('ports', typeof remotePort, typeof localPort, socket.address());
    }
    client.end();
  }),

  'server options': between(
    (client) => {
      client.end('x');
    },
    {
      server: {
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 1_000,
        highWaterMark: 1_024,
      },
    },
  ),

  'reading into a buffer': async (net, recorder) => {
    const server = net.createServer((socket) => socket.end('into the buffer'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = net.connect({
      port,
      onread: {
        buffer: Buffer.alloc(64),
        callback(count, buffer) {
          recorder.note('onread', count, Buffer.from(buffer).toString('latin1', 0, count));
          return true;
        },
      },
    });
    recorder.socket('client', client);
    await closed(client);
    await ended(server);
  },

  'nobody listens': async (net, recorder) => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    await closed(recorder.socket('one', net.connect(port, '127.0.0.1')));
    await closed(recorder.socket('several', net.connect({ port, host: 'localhost' })));
  },

  'connecting a Unix socket that is connected': async (net, recorder) => {
    const folder = mkdtempSync(join(tmpdir(), 'paipai-compat-'));
    const server = net.createServer((socket) => socket.resume());
    server.listen(join(folder, 's'));
    await once(server, 'listening');
    const client = recorder.socket('client', net.connect(join(folder, 's')));
    await once(client, 'connect');
    client.connect(join(folder, 's'));
    await closed(client);
    await ended(server);
    rmSync(folder, { recursive: true });
  },

  'no such socket file': async (net, recorder) => {
    await closed(recorder.socket('client', net.connect('/nowhere/at/all.sock')));
  },

  'bad arguments': async (net, recorder) => {
    const attempts: Record<string, () => unknown> = {
      'no port': () => net.connect({} as never),
      'port too large': () => net.connect(65_536),
      'port of words': () => net.connect({ port: 'seven' as never }),
      'bad host': () => net.connect({ port: 1, host: 7 as never }),
      'bad lookup': () => net.connect({ port: 1, host: 'x', lookup: 'none' as never }),
      'bad family': () => new net.Socket().setTimeout('soon' as never),
      'write of a number': () => new net.Socket().write(7 as never),
      'listen on a boolean': () => net.createServer().listen(true as never),
      'options of a number': () => net.createServer(7 as never),
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      try {
        recorder.note(name, typeof attempt());
      } catch (error) {
        recorder.note(name, error);
      }
    }
  },

  'states before connecting': async (net, recorder) => {
    const socket = recorder.socket('socket', new net.Socket());
    recorder.note(
      'fresh',
      socket.pending,
      socket.connecting,
      socket.readyState,
      socket.bytesWritten,
    );
    recorder.note('fresh', socket.remoteAddress, socket.address(), socket.localPort);
    socket.write('before', (error) => recorder.note('callback', error));
    await closed(socket);
    const ends = recorder.socket('ends', new net.Socket());
    ends.end();
    ends.destroy();
    await closed(ends);
  },

  'written while connecting': async (net, recorder) => {
    const server = net.createServer((socket) => recorder.socket('accepted', socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = recorder.socket('client', new net.Socket());
    client.connect(port, '127.0.0.1');
    recorder.note('now', client.connecting, client.readyState, client.bytesWritten);
    client.write('first');
    client.end('second', () => recorder.note('callback', 'end'));
    await closed(client);
    await ended(server);
  },

  'connecting the same socket again': async (net, recorder) => {
    const server = net.createServer((socket) => socket.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = recorder.socket('client', new net.Socket());
    for (let i = 0; i < 3; i++) {
      client.connect(port, '127.0.0.1');
      await once(client, 'close');
    }
    await ended(server);
  },

  'aborted while connecting': async (net, recorder) => {
    const controller = new AbortController();
    const client = recorder.socket(
      'client',
      new net.Socket({ signal: controller.signal } as object),
    );
    client.connect(1, '127.0.0.1');
    controller.abort();
    recorder.note('aborted', client.destroyed, client.connecting);
    await closed(client);
  },

  'a Unix socket': async (net, recorder) => {
    const folder = mkdtempSync(join(tmpdir(), 'paipai-compat-'));
    const path = join(folder, 's');
    const server = net.createServer((socket) => {
      recorder.socket('accepted', socket);
      socket.on('end', () => socket.end('answer'));
    });
    server.listen(path);
    await once(server, 'listening');
    recorder.note('address', server.address() === path);
    const client = recorder.socket('client', net.connect(path));
    client.end('question');
    await once(client, 'connect');
    recorder.note('names', client.remoteAddress, client.localPort, client.address());
    await ended(server, client);
    rmSync(folder, { recursive: true });
  },

  'more connections than a server takes': async (net, recorder) => {
    const server = net.createServer((socket) => socket.resume());
    server.maxConnections = 1;
    server.on('drop', (data) => recorder.note('drop', Object.keys(data ?? {})));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const first = recorder.socket('first', net.connect(port, '127.0.0.1'));
    await once(server, 'connection');
    const second = recorder.socket('second', net.connect(port, '127.0.0.1'));
    await closed(second);
    first.end();
    await ended(server, first);
  },

  'a server that pauses on connect': async (net, recorder) => {
    const server = net.createServer({ pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    client.write('x');
    const [accepted] = await once(server, 'connection');
    recorder.note('paused', accepted.isPaused());
    recorder.socket('accepted', accepted);
    accepted.resume();
    client.end();
    await ended(server, client);
  },

  'a server that listens twice, and closes twice': async (net, recorder) => {
    const server = net.createServer();
    server.listen(0, '127.0.0.1');
    try {
      server.listen(0);
    } catch (error) {
      recorder.note('again', error);
    }
    await once(server, 'listening');
    server.close((error) => recorder.note('first close', error ?? null));
    server.close((error) => recorder.note('second close', error ?? null));
    await once(server, 'close');
    recorder.note('after', server.listening, server.address());
  },

  'a port in use': async (net, recorder) => {
    const first = net.createServer().listen(0, '127.0.0.1');
    await once(first, 'listening');
    const { port } = first.address() as AddressInfo;
    const second = net.createServer();
    second.listen(port, '127.0.0.1');
    const [error] = await once(second, 'error');
    recorder.note('second', error);
    first.close();
    await once(first, 'close');
  },

  'counted connections': async (net, recorder) => {
    const server = net.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const count = (): Promise<number> =>
      new Promise((resolve, reject) =>
        server.getConnections((error, n) => (error === null ? resolve(n) : reject(error))),
      );
    const clients = [net.connect(port), net.connect(port)];
    for (const _ of clients) await once(server, 'connection');
    recorder.note('count', await count());
    for (const client of clients) client.destroy();
    server.close();
    await once(server, 'close');
    recorder.note('count', await count());
  },
};
