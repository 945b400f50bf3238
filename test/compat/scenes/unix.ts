import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs';
import type { Server, ServerOpts, Socket } from 'node:net';
import { join } from 'node:path';
import type { NetModule, Recorder } from '../recorder.js';
import { closed, ended, gone, once, type Scenes, settle, withFolder } from '../support.js';
import type { Script } from '../ways.js';

/** Sockets that are files, and those that have a name alone. */

/** With a server at a path of its own. */
function at(
  script: (
    path: string,
    server: Server,
    net: NetModule,
    recorder: Recorder,
    folder: string,
  ) => Promise<void>,
  options: ServerOpts = {},
): Script {
  return (net, recorder) =>
    withFolder(async (folder) => {
      const path = join(folder, 's');
      const server = recorder.server('server', net.createServer(options));
      server.on('connection', (socket: Socket) => recorder.socket('accepted', socket));
      server.listen(path);
      await once(server, 'listening');
      await script(path, server, net, recorder, folder);
      if (server.listening) await ended(server);
    });
}

export const scenes: Scenes = {
  'question and answer': at(
    async (path, server, net, recorder) => {
      recorder.note('address', server.address() === path);
      server.on('connection', (socket) => socket.on('end', () => socket.end('answer')));
      const client = recorder.socket('client', net.connect(path));
      client.end('question');
      await once(client, 'connect');
      recorder.note('names', client.remoteAddress, client.localPort, client.address());
      await closed(client);
    },
    { allowHalfOpen: true },
  ),

  'every form of connect': at(async (path, server, net, recorder) => {
    server.on('connection', (socket) => socket.end());
    const called = (): void => recorder.note('callback', 'called');
    const forms: Record<string, () => Socket> = {
      path: () => net.connect(path),
      'path and callback': () => net.connect(path, called),
      'an object': () => net.connect({ path }),
      'an object with a port as well': () => net.connect({ path, port: 1 } as never),
      'the member': () => new net.Socket().connect(path, called),
      createConnection: () => net.createConnection({ path }, called),
    };
    for (const [name, form] of Object.entries(forms)) {
      await closed(recorder.socket(name, form()));
    }
  }),

  'the file goes with the server': at(async (path, server, _net, recorder) => {
    recorder.note('file', existsSync(path), statSync(path).isSocket());
    await ended(server);
    recorder.note('file', existsSync(path));
  }),

  modes: (net, recorder) =>
    withFolder(async (folder) => {
      for (const [readableAll, writableAll] of [
        [false, false],
        [true, false],
        [false, true],
        [true, true],
      ] as const) {
        const path = join(folder, `${readableAll}-${writableAll}`);
        const server = net.createServer();
        server.listen({ path, readableAll, writableAll });
        await once(server, 'listening');
        recorder.note('mode', readableAll, writableAll, (statSync(path).mode & 0o777).toString(8));
        await ended(server);
      }
    }),

  'a path in use': at(async (path, _server, net, recorder) => {
    const second = recorder.server('second', net.createServer());
    second.listen(path);
    await once(second, 'error');
    recorder.note('file', existsSync(path));
  }),

  'nobody behind the file': (net, recorder) =>
    withFolder(async (folder) => {
      const path = join(folder, 'file');
      await closed(recorder.socket('none', net.connect(path)));
      writeFileSync(path, '');
      await closed(recorder.socket('no socket', net.connect(path)));
      await closed(recorder.socket('below a file', net.connect(join(path, 's'))));
      await closed(recorder.socket('a folder', net.connect(folder)));
    }),

  'a file that may not be opened': at(async (path, _server, net, recorder) => {
    // Whoever may everything may this too, and then both ways connect.
    chmodSync(path, 0);
    const client = recorder.socket('client', net.connect(path));
    await Promise.race([once(client, 'connect'), closed(client)]);
    await gone(client);
  }),

  'paths at the limit': (net, recorder) =>
    withFolder(async (folder) => {
      for (const bytes of [106, 107, 108, 109, 200]) {
        const path = join(folder, 'x'.repeat(bytes - folder.length - 1));
        const server = recorder.server(`${bytes}`, net.createServer());
        recorder.attempt(`${bytes}`, () => server.listen(path));
        await Promise.race([once(server, 'listening'), once(server, 'error')]);
        const client = recorder.attempt(`${bytes}`, () => net.connect(path));
        if (client !== undefined) {
          recorder.socket(`client ${bytes}`, client);
          await Promise.race([once(client, 'connect'), closed(client)]);
          await gone(client);
        }
        if (server.listening) await ended(server);
      }
    }),

  'paths with a zero in them': (net, recorder) =>
    withFolder(async (folder) => {
      const path = join(folder, 'a\0b');
      // Not every version refuses them: the others take what stands before the zero.
      const server = recorder.server('server', net.createServer());
      if (recorder.attempt('listen', () => server.listen(path)) !== undefined) {
        await Promise.race([once(server, 'listening'), once(server, 'error')]);
      }
      const client = recorder.attempt('connect', () => net.connect(path));
      if (client !== undefined) {
        recorder.socket('client', client);
        await Promise.race([once(client, 'connect'), closed(client)]);
        await gone(client);
      }
      if (server.listening) await ended(server);
    }),

  'a name without a file': async (net, recorder) => {
    const path = `\0paipai-compat-${process.pid}`;
    const server = recorder.server(
      'server',
      net.createServer((socket) => socket.end('hello')),
    );
    recorder.attempt('listen', () => server.listen(path));
    await Promise.race([once(server, 'listening'), once(server, 'error')]);
    recorder.note('address', server.address() === path);
    const client = recorder.attempt('connect', () => net.connect(path));
    if (client !== undefined) await closed(recorder.socket('client', client));
    if (server.listening) await ended(server);
  },

  'connecting what is connected': at(async (path, server, net, recorder) => {
    server.on('connection', (socket) => socket.resume());
    const client = recorder.socket('client', net.connect(path));
    await once(client, 'connect');
    client.connect(path);
    await closed(client);
  }),

  'connecting again after the end': at(async (path, server, net, recorder) => {
    server.on('connection', (socket) => socket.end('hello'));
    const client = recorder.socket('client', new net.Socket());
    for (let i = 0; i < 3; i++) {
      client.connect(path);
      await once(client, 'close');
    }
  }),

  'first a Unix socket, then TCP': at(async (path, server, net, recorder) => {
    server.on('connection', (socket) => socket.end('by file'));
    const other = net.createServer((socket) => socket.end('by port'));
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const client = recorder.socket('client', net.connect(path));
    await once(client, 'close');
    client.connect((other.address() as { port: number }).port, '127.0.0.1');
    await once(client, 'close');
    await ended(other);
  }),

  'much in both directions': (net, recorder) =>
    withFolder(async (folder) => {
      const path = join(folder, 's');
      const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
      server.listen(path);
      await once(server, 'listening');
      const client = recorder.socket('client', net.connect(path));
      for (let i = 0; i < 8; i++) client.write(Buffer.alloc(1 << 20, i));
      while (client.bytesRead < 8 << 20) await once(client, 'data');
      client.end();
      await ended(server, client);
    }),

  'destroyed with bytes that wait': at(async (path, server, net, recorder) => {
    server.on('connection', (socket) => socket.pause());
    const client = recorder.socket('client', net.connect(path));
    const [accepted] = await once(server, 'connection');
    client.write(Buffer.alloc(8 << 20), (error) => recorder.note('callback', error ?? null));
    await settle(recorder);
    client.destroy();
    await settle(recorder);
    accepted.destroy();
    await closed(client, accepted);
  }),

  'the server is gone in the middle': at(async (path, server, net, recorder) => {
    const client = recorder.socket('client', net.connect(path));
    const [accepted] = await once(server, 'connection');
    accepted.pause();
    client.write(Buffer.alloc(8 << 20), (error) => recorder.note('callback', error ?? null));
    await settle(recorder);
    accepted.destroy();
    await closed(client);
  }),

  'more connections than it takes': at(async (path, server, net, recorder) => {
    server.maxConnections = 1;
    const first = recorder.socket('first', net.connect(path));
    await once(server, 'connection');
    await closed(recorder.socket('second', net.connect(path)));
    await gone(first);
  }),
};
