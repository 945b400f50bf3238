import type { Socket } from 'node:net';
import { closed, gone, once, type Scenes, settle, turn, withServer } from '../support.js';

/** What a socket says and does while it is not connected yet, and when it connects once more. */

function stateOf(socket: Socket): object {
  const { connecting, pending, readyState, bytesRead, bytesWritten, bufferSize } = socket;
  const { remoteAddress, remotePort, localAddress, localPort, timeout, destroyed } = socket;
  return {
    ...{ connecting, pending, readyState, bytesRead, bytesWritten, bufferSize },
    ...{ remoteAddress, remotePort, localAddress, localPort, timeout, destroyed },
    address: socket.address(),
  };
}

/** Each is done to a socket that is not connected. */
const calls: Readonly<
  Record<string, (socket: Socket, note: (error?: unknown) => void) => unknown>
> = {
  nothing: () => undefined,
  write: (socket, note) => socket.write('before', note),
  end: (socket, note) => socket.end(note),
  'end with text': (socket, note) => socket.end('before', note),
  destroy: (socket) => socket.destroy(),
  'destroy with a reason': (socket) => socket.destroy(new Error('a reason')),
  destroySoon: (socket) => socket.destroySoon(),
  pause: (socket) => socket.pause(),
  resume: (socket) => socket.resume(),
  read: (socket) => socket.read(),
  reset: (socket) => socket.resetAndDestroy(),
  'time-out': (socket) => socket.setTimeout(60_000),
  unref: (socket) => socket.unref(),
  ref: (socket) => socket.ref(),
  setNoDelay: (socket) => socket.setNoDelay(),
  setKeepAlive: (socket) => socket.setKeepAlive(true, 1_000),
  cork: (socket) => socket.cork(),
  setEncoding: (socket) => socket.setEncoding('utf8'),
};

export const scenes: Scenes = {
  'with enough written before it was ever connected': withServer(
    async (net, recorder, { port }) => {
      const client = recorder.socket('client', new net.Socket());
      for (const bytes of [0, 16_382, 2]) client.write(Buffer.alloc(bytes));
      await settle(recorder);
      client.connect(port, '127.0.0.1');
      await once(client, 'connect');
      await settle(recorder);
      client.write('x');
      await settle(recorder);
      await gone(client);
    },
  ),

  'ended before it connects, and once more behind that': withServer(
    async (net, recorder, { port }) => {
      const client = recorder.socket('client', new net.Socket({ allowHalfOpen: true }));
      client.once('prefinish', () => recorder.note('client', 'prefinish'));
      client.end();
      client.connect(port, '127.0.0.1');
      await settle(recorder);
      recorder.note('client', client.writable);
      client.end();
      recorder.note('client', 'ended', client.writableFinished);
      await settle(recorder);
      await gone(client);
    },
  ),

  'on a socket that never connects': async (net, recorder) => {
    for (const [name, call] of Object.entries(calls)) {
      const socket = recorder.socket(name, new net.Socket());
      recorder.attempt(name, () => call(socket, (error) => recorder.note(name, 'callback', error)));
      recorder.note(name, stateOf(socket));
      await settle(recorder);
      recorder.note(name, stateOf(socket));
      await gone(socket);
    }
  },

  'before it connects': withServer(async (net, recorder, { port }) => {
    for (const [name, call] of Object.entries(calls)) {
      const socket = recorder.socket(name, new net.Socket());
      recorder.attempt(name, () => call(socket, (error) => recorder.note(name, 'callback', error)));
      recorder.attempt(name, () => socket.connect(port, '127.0.0.1'));
      recorder.note(name, socket.connecting, socket.pending, socket.readyState);
      await Promise.race([once(socket, 'connect'), closed(socket)]);
      await settle(recorder);
      recorder.note(name, socket.connecting, socket.pending, socket.readyState);
      await gone(socket);
    }
  }),

  'while it connects': withServer(async (net, recorder, { port }) => {
    for (const [name, call] of Object.entries(calls)) {
      const socket = recorder.socket(name, new net.Socket());
      socket.connect(port, '127.0.0.1');
      recorder.attempt(name, () => call(socket, (error) => recorder.note(name, 'callback', error)));
      recorder.note(name, stateOf(socket));
      await Promise.race([once(socket, 'connect'), closed(socket)]);
      await settle(recorder);
      recorder.note(name, socket.connecting, socket.pending, socket.readyState);
      await gone(socket);
    }
  }),

  'in a handler of connect': withServer(async (net, recorder, { port }) => {
    for (const [name, call] of Object.entries(calls)) {
      const socket = recorder.socket(name, net.connect(port, '127.0.0.1'));
      socket.once('connect', () =>
        recorder.attempt(name, () =>
          call(socket, (error) => recorder.note(name, 'callback', error)),
        ),
      );
      await Promise.race([once(socket, 'connect'), closed(socket)]);
      await settle(recorder);
      await gone(socket);
    }
  }),

  'while it is looked up': withServer(async (net, recorder, { port }) => {
    for (const [name, call] of Object.entries(calls)) {
      const socket = recorder.socket(name, net.connect({ port, host: 'localhost', family: 4 }));
      recorder.attempt(name, () => call(socket, (error) => recorder.note(name, 'callback', error)));
      await Promise.race([once(socket, 'connect'), once(socket, 'lookup'), closed(socket)]);
      await gone(socket);
    }
  }),

  'while it fails to connect': withServer(async (net, recorder, { refusedPort }) => {
    for (const [name, call] of Object.entries(calls)) {
      const socket = recorder.socket(name, net.connect(refusedPort, '127.0.0.1'));
      recorder.attempt(name, () => call(socket, (error) => recorder.note(name, 'callback', error)));
      await closed(socket);
      recorder.note(name, stateOf(socket));
    }
  }),

  'states of a connection': withServer(async (net, recorder, { port }) => {
    const socket = recorder.socket('socket', new net.Socket());
    recorder.note('fresh', stateOf(socket));
    socket.connect(port, '127.0.0.1');
    socket.write('first');
    recorder.note('connecting', stateOf(socket));
    await once(socket, 'connect');
    recorder.note('connected', socket.connecting, socket.pending, socket.readyState);
    socket.end('second');
    recorder.note('ended', socket.connecting, socket.pending, socket.readyState);
    await closed(socket);
    recorder.note('closed', stateOf(socket));
  }),

  'connecting the same socket again': withServer(async (net, recorder, { server, port }) => {
    server.on('connection', (socket) => socket.end('hello'));
    const client = recorder.socket('client', new net.Socket());
    for (let i = 0; i < 3; i++) {
      client.connect(port, '127.0.0.1');
      await once(client, 'close');
    }
  }),

  'connecting again after a failure': withServer(async (net, recorder, { port, refusedPort }) => {
    const client = recorder.socket('client', net.connect(refusedPort, '127.0.0.1'));
    await once(client, 'close');
    client.connect(port, '127.0.0.1');
    await once(client, 'connect');
    client.end('this time');
    await once(client, 'close');
  }),

  'connecting again in a handler of close': withServer(async (net, recorder, { server, port }) => {
    let count = 0;
    server.on('connection', (socket) => socket.end(`answer ${++count}`));
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    for (let i = 0; i < 2; i++) {
      await new Promise<void>((resolve) =>
        client.once('close', () => {
          client.connect(port, '127.0.0.1');
          resolve();
        }),
      );
    }
    await once(client, 'close');
  }),

  'connecting while connecting': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    recorder.attempt('again', () => client.connect(port, '127.0.0.1'));
    await Promise.race([once(client, 'connect'), closed(client)]);
    await settle(recorder);
    await gone(client);
  }),

  'connecting what is connected': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    await once(client, 'connect');
    client.connect(1, '127.0.0.1');
    recorder.note('now', client.connecting, client.readyState);
    await once(client, 'connect');
    client.end('still connected');
    await closed(client);
  }),

  'destroyed twice': withServer(async (net, recorder, { port }) => {
    for (const isConnected of [false, true]) {
      const client = recorder.socket(`${isConnected}`, net.connect(port, '127.0.0.1'));
      if (isConnected) await once(client, 'connect');
      client.destroy(new Error('first'));
      client.destroy(new Error('second'));
      client.write('x', (error) => recorder.note('callback', error));
      await closed(client);
      client.destroy();
      await turn();
    }
  }),

  'much that is written while it connects': withServer(async (net, recorder, { server, port }) => {
    const accepting = once(server, 'connection');
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    for (let i = 0; i < 4; i++) {
      recorder.note('wrote', client.write(Buffer.alloc(1 << 20, i)), client.bufferSize);
    }
    client.write('grüße', 'latin1');
    client.end('end');
    recorder.note('state', client.bytesWritten, client.writableLength);
    const [accepted] = await accepting;
    recorder.socket('accepted', accepted);
    await closed(client, accepted);
  }),

  'connecting what is connected, twice': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    await once(client, 'connect');
    client.connect(port, '127.0.0.1');
    await once(client, 'connect');
    client.connect(port, '127.0.0.1');
    await settle(recorder);
    await gone(client);
  }),

  'closed in the turn in which it is destroyed': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    await once(client, 'connect');
    await turn();
    client.destroy();
    client.once('close', () => recorder.note('order', 'close'));
    await turn();
    recorder.note('order', 'next turn');
  }),
};
