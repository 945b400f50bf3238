import { closeSync, openSync } from 'node:fs';
import type { NetConnectOpts, Socket } from 'node:net';
import { join } from 'node:path';
import {
  closed,
  ended,
  freePort,
  gone,
  listening,
  once,
  type Scenes,
  withFolder,
  withServer,
} from '../support.js';

/** Every form of connecting and listening, what is refused at once, and what the system refuses. */

export const badConnects: Readonly<Record<string, object>> = {
  nothing: {},
  'port too large': { port: 65_536 },
  'port below zero': { port: -1 },
  'half a port': { port: 1.5 },
  'port of words': { port: 'seven' },
  'port of spaces': { port: ' ' },
  'a port in hex': { port: '0x1ffff' },
  'port true': { port: true },
  'port null': { port: null },
  'port in an array': { port: [] },
  'host of a number': { port: 1, host: 7 },
  'host of an object': { port: 1, host: {} },
  'a function for no lookup': { port: 1, host: 'x', lookup: 'none' },
  'a family that is none': { port: 1, host: 'localhost', family: 5 },
  'family of words': { port: 1, host: 'localhost', family: 'seven' },
  'hints that are none': { port: 1, host: 'localhost', hints: 0xff_ff },
  'local address of words': { port: 1, host: '127.0.0.1', localAddress: 'here' },
  'local address of a number': { port: 1, host: '127.0.0.1', localAddress: 7 },
  'local port of words': { port: 1, host: '127.0.0.1', localPort: 'x' },
  'local port too large': { port: 1, host: '127.0.0.1', localPort: 65_536 },
  'path of a number': { path: 7 },
  'autoSelectFamily of words': { port: 1, host: '127.0.0.1', autoSelectFamily: 'yes' },
  'attempt time-out of zero': {
    port: 1,
    host: '127.0.0.1',
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: 0,
  },
  'attempt time-out of words': {
    port: 1,
    host: '127.0.0.1',
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: 'x',
  },
  'time-out of words': { port: 1, host: '127.0.0.1', timeout: 'soon' },
  'signal that is none': { port: 1, host: '127.0.0.1', signal: 'x' },
  'object mode': { port: 1, objectMode: true },
  'a descriptor below zero': { port: 1, fd: -1 },
  'onread without a buffer': { port: 1, host: '127.0.0.1', onread: {} },
};

const badListens: Readonly<Record<string, readonly unknown[]>> = {
  'a boolean': [true],
  'an empty object': [{}],
  'port too large': [65_536],
  'port below zero': [-1],
  'port not a number': [Number.NaN],
  'half a port': [{ port: 1.5 }],
  'port of words': [{ port: 'seven' }],
  'port true': [{ port: true }],
  'an empty path': [{ path: '' }],
  'a path of a number': [{ path: 7 }],
  'a descriptor below zero': [{ fd: -1 }],
  'a descriptor of words': [{ fd: 'x' }],
  'a signal that is none': [{ port: 0, signal: 'x' }],
  'a host of a number': [{ port: 0, host: 7 }],
  'modes of an abstract name': [{ path: '\0paipai-compat', readableAll: true }],
};

export const scenes: Scenes = {
  'what the module has': async (net, recorder) => {
    for (const [name, value] of Object.entries(net)) {
      const { name: called, prototype } = value as { name?: string; prototype?: object };
      recorder.note('exports', name, typeof value, called, typeof prototype);
    }
    for (const type of ['Socket', 'Server'] as const) {
      const made = [
        new net[type](),
        Reflect.apply(net[type], undefined, []),
        new (class extends net[type] {})(),
      ];
      recorder.note(
        type,
        made.map((each) => each instanceof net[type]),
      );
      recorder.note(type, made[0]!.constructor === net[type], made[0]!.constructor.name);
    }
    recorder.note('same', Reflect.get(net, 'Stream') === net.Socket);
    recorder.note('isIP', ['127.0.0.1', '::1', 'x', ''].map(net.isIP));
  },

  'every form of connect': withServer(async (net, recorder, { port }) => {
    const forms: Record<string, () => Socket> = {
      port: () => net.connect(port),
      'port as text': () => net.connect(String(port) as never),
      'port and host': () => net.connect(port, '127.0.0.1'),
      'port and callback': () =>
        net.connect(port, (() => recorder.note('callback', 'called')) as never),
      'port, host and callback': () =>
        net.connect(port, '127.0.0.1', () => recorder.note('callback', 'called')),
      'an object': () => net.connect({ port, host: '127.0.0.1' }),
      'an object with a port as text': () => net.connect({ port: String(port) as never }),
      'an object and callback': () =>
        net.connect({ port }, () => recorder.note('callback', 'called')),
      createConnection: () => net.createConnection(port, '127.0.0.1'),
      'a time-out': () => net.connect({ port, host: '127.0.0.1', timeout: 60_000 }),
      'the member': () => new net.Socket().connect(port, '127.0.0.1'),
      'the member, with callback': () =>
        new net.Socket().connect({ port }, () => recorder.note('callback', 'called')),
      'without new': () => Reflect.apply(net.Socket, undefined, []).connect(port),
      'a local address': () => net.connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }),
      'family 4': () => net.connect({ port, host: 'localhost', family: 4 }),
    };
    for (const [name, form] of Object.entries(forms)) {
      const socket = recorder.socket(name, form());
      recorder.note(name, socket.timeout, socket.constructor === net.Socket);
      await once(socket, 'connect');
      recorder.note(name, socket.localAddress, socket.remoteAddress, socket.remoteFamily);
      await gone(socket);
    }
  }),

  'connects that are refused at once': async (net, recorder) => {
    for (const [name, options] of Object.entries(badConnects)) {
      const socket = recorder.attempt(name, () => net.connect(options as NetConnectOpts));
      if (socket !== undefined) await closed(recorder.socket(name, socket));
      const again = recorder.socket(name, new net.Socket());
      recorder.attempt(name, () => again.connect(options as NetConnectOpts));
      await gone(again);
    }
  },

  'sockets that are refused': async (net, recorder) => {
    const options: Record<string, unknown> = {
      'object mode': { objectMode: true },
      'readable object mode': { readableObjectMode: true },
      'descriptor of words': { fd: 'x' },
      'descriptor too large': { fd: 2 ** 31 },
      'a descriptor that is none': { fd: 9_999 },
      'a signal that is none': { signal: 7 },
      'a high-water mark of words': { highWaterMark: 'x' },
      // A number would be a descriptor, of whoever has it.
      null: null,
    };
    for (const [name, each] of Object.entries(options)) {
      recorder.attempt(name, () => new net.Socket(each as object));
    }
    const socket = recorder.socket('socket', new net.Socket());
    recorder.attempt('setTimeout', () => socket.setTimeout('soon' as never));
    recorder.attempt('setTimeout', () => socket.setTimeout(-1));
    recorder.attempt('setTimeout', () => socket.setTimeout(1, 'later' as never));
    recorder.attempt('write of a number', () => socket.write(7 as never));
    recorder.attempt('write of null', () => socket.write(null as never));
    recorder.attempt('write in no encoding', () => socket.write('x', 'klingon' as never));
    recorder.attempt('setEncoding', () => socket.setEncoding('klingon' as never));
    await gone(socket);
  },

  'servers that are refused': async (net, recorder) => {
    for (const options of [7, 'x', true, null, undefined, {}, { highWaterMark: -1 }]) {
      recorder.attempt(String(options), () => net.createServer(options as object));
    }
    recorder.attempt('a listener of words', () => net.createServer({}, 'x' as never));
  },

  'connecting from where one cannot': withServer(async (net, recorder, { port }) => {
    const foreign = { port, host: '127.0.0.1', localAddress: '198.51.100.7' };
    await closed(recorder.socket('foreign', net.connect(foreign)));
    const mixed = { port, host: '127.0.0.1', localAddress: '::1' };
    await closed(recorder.socket('mixed', net.connect(mixed)));
    const taken = { port, host: '127.0.0.1', localAddress: '127.0.0.1', localPort: port };
    await closed(recorder.socket('taken', net.connect(taken)));
  }),

  'connecting where nobody is': async (net, recorder) => {
    const port = await freePort(net);
    await closed(recorder.socket('one', net.connect(port, '127.0.0.1')));
    await closed(recorder.socket('six', net.connect(port, '::1')));
    await closed(recorder.socket('several', net.connect({ port, host: 'localhost' })));
    await closed(recorder.socket('everybody', net.connect(port, '255.255.255.255')));
    await closed(recorder.socket('no file', net.connect('/nowhere/at/all.sock')));
    await closed(recorder.socket('port 0', net.connect(0, '127.0.0.1')));
    await closed(recorder.socket('a file', net.connect('/dev/null')));
    await closed(recorder.socket('a folder', net.connect('/')));
  },

  'every form of listen': (net, recorder) =>
    withFolder(async (folder) => {
      const called = (): void => recorder.note('callback', 'called');
      const forms: Record<string, readonly unknown[]> = {
        nothing: [],
        'callback alone': [called],
        null: [null],
        undefined: [undefined, called],
        'port as text': ['0'],
        'port and callback': [0, called],
        'port and host': [0, '127.0.0.1'],
        'port, host and backlog': [0, '127.0.0.1', 5],
        'port, host, backlog and callback': [0, '127.0.0.1', 5, called],
        'port, backlog and callback': [0, 5, called],
        'port, nothing, nothing and callback': [0, undefined, undefined, called],
        'an object': [{ port: 0, host: '127.0.0.1', backlog: 5, exclusive: true }, called],
        'an object without a port': [{ port: undefined }],
        'a name': [{ port: 0, host: 'localhost' }],
        'six alone': [{ port: 0, host: '::', ipv6Only: true }],
        'a path': [join(folder, 'a')],
        'a path and callback': [join(folder, 'b'), called],
        'a path in an object': [{ path: join(folder, 'c') }, called],
      };
      for (const [name, form] of Object.entries(forms)) {
        const server = recorder.server(name, net.createServer());
        recorder.note(name, Reflect.apply(server.listen, server, form) === server);
        await once(server, 'listening');
        recorder.note(name, server.address());
        await ended(server);
      }
    }),

  'listens that are refused at once': async (net, recorder) => {
    for (const [name, form] of Object.entries(badListens)) {
      const server = recorder.server(name, net.createServer());
      recorder.attempt(name, () => Reflect.apply(server.listen, server, form as unknown[]));
      recorder.note(name, server.listening, server.address());
    }
  },

  'listening where one cannot': (net, recorder) =>
    withFolder(async (folder) => {
      const first = net.createServer();
      const port = await listening(first);
      const file = openSync(join(folder, 'file'), 'w');
      const targets: Record<string, object> = {
        'a port in use': { port, host: '127.0.0.1' },
        'a foreign address': { port: 0, host: '198.51.100.7' },
        'a folder that is none': { path: join(folder, 'none', 'at', 'all') },
        'a file that is there': { path: join(folder, 'file') },
        'the descriptor of a file': { fd: file },
        'a path that is too long': { path: join(folder, 'x'.repeat(200)) },
      };
      for (const [name, target] of Object.entries(targets)) {
        const server = recorder.server(name, net.createServer());
        recorder.attempt(name, () => server.listen(target));
        // Before Node 22 a long path is cut, and listened on.
        await Promise.race([once(server, 'error'), once(server, 'listening')]);
        if (server.listening) await ended(server);
      }
      closeSync(file);
      await ended(first);
    }),
};
