import type { Server, Socket } from 'node:net';
import type { NetModule } from '../recorder.js';
import {
  between,
  closed,
  ended,
  gone,
  listening,
  once,
  type Scenes,
  settle,
  withFolder,
  withServer,
} from '../support.js';

/** What has an underscore, and libraries use all the same. */

// Nothing of this has types.
// biome-ignore lint/suspicious/noExplicitAny: see above.
type Legacy = any;

const legacy = (object: Socket | Server | NetModule): Legacy => object;

export const scenes: Scenes = {
  'members are found one by one': async (net, recorder) => {
    // By what copies or replaces all that an object has.
    for (const { name, prototype } of [net.Socket, net.Server]) {
      const members: string[] = [];
      for (const member in prototype) members.push(member);
      recorder.note(name, members.sort());
    }
  },

  'the handle comes and goes': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', new net.Socket());
    const note = (name: string): void =>
      recorder.note(name, legacy(client)._handle === null, legacy(client)._handle === undefined);
    note('fresh');
    client.connect(port, '127.0.0.1');
    note('connecting');
    await once(client, 'connect');
    note('connected');
    client.on('end', () => note('end'));
    client.on('close', () => note('close'));
    client.end();
    note('ended');
    await closed(client);
    note('closed');
  }),

  'what a handle answers': between((client, accepted, recorder) => {
    for (const socket of [client, accepted]) {
      const { _handle: handle } = legacy(socket);
      recorder.note('numbers', handle.fd >= 0, handle.bytesRead, handle.bytesWritten);
      recorder.note('numbers', handle.writeQueueSize, handle.getAsyncId() > 0, handle.hasRef());
      recorder.note('results', handle.setNoDelay(true), handle.setKeepAlive(true, 1));
      recorder.note('results', handle.readStop(), handle.readStart(), handle.reading);
      recorder.note('results', handle.unref(), handle.hasRef(), handle.ref(), handle.hasRef());
      for (const name of ['getsockname', 'getpeername']) {
        const out: { address?: string; family?: string; port?: number } = {};
        const result = handle[name](out);
        recorder.note(name, result, out.address, out.family, typeof out.port);
      }
    }
    client.end();
  }),

  'the handle closed by hand': between(async (client, accepted, recorder) => {
    const { _handle: handle } = legacy(client);
    await new Promise<void>((resolve) => handle.close(resolve));
    recorder.note('closed', handle.fd < 0, client.destroyed);
    client.destroy();
    await settle(recorder);
    accepted.destroy();
  }),

  'members of a socket': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', new net.Socket());
    const note = (name: string): void => {
      const { _connecting, _bytesDispatched, _pendingData, _pendingEncoding, _host } =
        legacy(client);
      const pending = _pendingData === null ? null : typeof _pendingData;
      recorder.note(name, { _connecting, _bytesDispatched, pending, _pendingEncoding, _host });
      recorder.note(name, Object.keys(legacy(client)._getpeername()));
      recorder.note(name, Object.keys(legacy(client)._getsockname()));
    };
    note('fresh');
    client.connect(port, '127.0.0.1');
    client.write('early');
    note('connecting');
    await once(client, 'connect');
    await settle(recorder);
    note('connected');
    client.write(Buffer.alloc(10));
    note('written');
    await gone(client);
    note('destroyed');
  }),

  'members of a server': async (net, recorder) => {
    const server = net.createServer((socket) => socket.resume());
    const note = (name: string): void => {
      const { _connections, _connectionKey, _usingWorkers, _workers, _unref, _pipeName } =
        legacy(server);
      const key = String(_connectionKey).replace(/:\d+$/, ':PORT');
      recorder.note(name, { _connections, key, _usingWorkers, _workers, _unref, _pipeName });
      recorder.note(name, typeof legacy(server)._handle?.onconnection);
    };
    note('fresh');
    const port = await listening(server);
    note('listening');
    const client = net.connect(port, '127.0.0.1');
    await once(server, 'connection');
    note('connected');
    await gone(client);
    await settle(recorder);
    note('gone');
    await ended(server);
    note('closed');
  },

  'the key of every form of listen': (net, recorder) =>
    withFolder(async (folder) => {
      for (const target of [
        { port: 0 },
        { port: 0, host: '127.0.0.1' },
        { port: 0, host: '::1' },
        { path: `${folder}/s` },
      ]) {
        const server = net.createServer();
        server.listen(target);
        await once(server, 'listening');
        recorder.note('key', legacy(server)._connectionKey);
        await ended(server);
      }
    }),

  'arguments made normal': async (net, recorder) => {
    const forms: unknown[][] = [
      [],
      [80],
      [80, 'host'],
      ['80'],
      ['/path'],
      [{ port: 80, host: 'host' }],
      [null],
      [undefined, 'x'],
      [80, () => {}],
      [{ path: '/path' }, () => {}],
    ];
    for (const form of forms) {
      const normal = legacy(net)._normalizeArgs(form);
      recorder.note('form', normal[0], typeof normal[1], normal.length);
    }
    recorder.attempt('again', () =>
      net.connect(...(legacy(net)._normalizeArgs([65_536]) as [never])),
    );
  },

  'a socket on the handle of another': withServer(async (net, recorder, { port }) => {
    const first = net.connect(port, '127.0.0.1');
    await once(first, 'connect');
    const { _handle: handle } = legacy(first);
    legacy(first)._handle = null;
    const second = recorder.socket('second', new net.Socket({ handle } as object));
    recorder.note('second', second.readyState, second.pending, second.remoteAddress);
    second.end('by way of the other', () => recorder.note('second', 'sent'));
    await closed(second);
  }),

  'a handle that is attached to an accepted socket anew': async (net, recorder) => {
    const server = net.createServer({ pauseOnConnect: true });
    const port = await listening(server);
    const accepting = once(server, 'connection');
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    const [accepted] = await accepting;
    const moved = recorder.socket(
      'moved',
      new net.Socket({ handle: legacy(accepted)._handle, allowHalfOpen: true } as object),
    );
    client.write('hello');
    await once(moved, 'data');
    moved.end('bye');
    client.end();
    await closed(client, moved);
    legacy(accepted)._handle = null;
    accepted.destroy();
    await ended(server);
  },

  'connection by hand': async (net, recorder) => {
    // As servers do that take connections from elsewhere.
    const inner = net.createServer((socket) => recorder.socket('accepted', socket).end('inner'));
    const outer = net.createServer((socket) => inner.emit('connection', socket));
    const port = await listening(outer);
    await closed(recorder.socket('client', net.connect(port, '127.0.0.1')));
    await ended(outer);
  },

  'onconnection of the handle is wrapped': async (net, recorder) => {
    const server = net.createServer((socket) => socket.end('hello'));
    const port = await listening(server);
    const { _handle: handle } = legacy(server);
    const { onconnection } = handle;
    handle.onconnection = function (this: unknown, ...args: unknown[]) {
      recorder.note('onconnection', args[0], typeof args[1], this === handle);
      return Reflect.apply(onconnection, this, args);
    };
    await closed(recorder.socket('client', net.connect(port, '127.0.0.1')));
    await ended(server);
  },

  'errors made by hand': between((client, _accepted, recorder) => {
    client.once('error', (error) => recorder.note('heard', error));
    client.emit('error', new Error('by hand'));
    client.end();
  }),

  'listeners taken away': between(async (client, accepted, recorder) => {
    client.removeAllListeners('end');
    accepted.end('all');
    await settle(recorder);
    recorder.note('client', client.readyState, client.allowHalfOpen);
    client.end();
  }),

  'a handle that is asked twice, or for nothing': between(async (client, _accepted, recorder) => {
    const { _handle: handle } = legacy(client);
    recorder.note('reads already', handle.readStart());
    recorder.note('no delay', handle.setKeepAlive(true, 0));
    client.destroy();
    recorder.note('closed', handle.fd);
  }),
};
