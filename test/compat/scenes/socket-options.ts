import {
  between,
  ended,
  gone,
  listening,
  once,
  pair,
  type Scenes,
  withServer,
} from '../support.js';
import { systemOptionsOf } from '../system-options.js';

/** What sockets are told about the system, and what the system has then. */

export const scenes: Scenes = {
  'of a connected socket': between((client, accepted, recorder) => {
    recorder.note('fresh', systemOptionsOf(client));
    recorder.note('returns', client.setNoDelay() === client);
    recorder.note('returns', client.setKeepAlive(true, 5_000) === client);
    recorder.note('client', systemOptionsOf(client));
    recorder.note('returns', client.setNoDelay(false) === client);
    recorder.note('returns', client.setKeepAlive(false) === client);
    recorder.note('client', systemOptionsOf(client));
    accepted.setKeepAlive(true, 7_999);
    accepted.setNoDelay(true);
    recorder.note('accepted', systemOptionsOf(accepted));
    client.end();
  }),

  'before connecting': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', new net.Socket());
    client.setNoDelay();
    client.setKeepAlive(true, 3_000);
    client.connect(port, '127.0.0.1');
    client.unref().ref();
    await once(client, 'connect');
    recorder.note('client', systemOptionsOf(client));
    await gone(client);
  }),

  'while connecting': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    client.setNoDelay();
    client.setKeepAlive(true, 4_000);
    await once(client, 'connect');
    recorder.note('client', systemOptionsOf(client));
    client.setNoDelay(false);
    recorder.note('client', systemOptionsOf(client));
    await gone(client);
  }),

  'as options of connect': withServer(async (net, recorder, { port }) => {
    const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 9_000 };
    const client = net.connect({ port, host: '127.0.0.1', ...options });
    recorder.socket('client', client);
    await once(client, 'connect');
    recorder.note('client', systemOptionsOf(client));
    client.setKeepAlive(true, 9_000);
    client.setKeepAlive(true, 11_000);
    recorder.note('client', systemOptionsOf(client));
    await gone(client);
  }),

  'as options of a server': async (net, recorder) => {
    const { server, client, accepted } = await pair(net, recorder, {
      server: { noDelay: true, keepAlive: true, keepAliveInitialDelay: 6_000 },
    });
    recorder.note('accepted', systemOptionsOf(accepted));
    accepted.setKeepAlive(false);
    accepted.setNoDelay(false);
    recorder.note('accepted', systemOptionsOf(accepted));
    client.end();
    await ended(server, client, accepted);
  },

  'no argument, and odd ones': between((client, _accepted, recorder) => {
    client.setKeepAlive();
    recorder.note('client', systemOptionsOf(client));
    client.setKeepAlive(1 as never, 1_999.9);
    recorder.note('client', systemOptionsOf(client));
    client.setKeepAlive('' as never, 'x' as never);
    recorder.note('client', systemOptionsOf(client));
    client.setNoDelay('yes' as never);
    recorder.note('client', systemOptionsOf(client));
    client.end();
  }),

  'when it is closed': between(async (client, _accepted, recorder) => {
    client.destroy();
    recorder.note('returns', client.setNoDelay() === client);
    recorder.note('returns', client.setKeepAlive(true, 1_000) === client);
    recorder.note('returns', client.ref() === client, client.unref() === client);
  }),

  'of a Unix socket': between(
    (client, _accepted, recorder) => {
      recorder.note('returns', client.setNoDelay() === client);
      recorder.note('returns', client.setKeepAlive(true, 1_000) === client);
      recorder.note('returns', client.unref() === client, client.ref() === client);
      client.end();
    },
    { isUnix: true },
  ),

  'names of both ends': between((client, accepted, recorder) => {
    for (const socket of [client, accepted]) {
      const { localAddress, localFamily, remoteAddress, remoteFamily, remotePort, localPort } =
        socket;
      recorder.note('names', localAddress, localFamily, remoteAddress, remoteFamily);
      recorder.note('ports', typeof remotePort, typeof localPort, socket.address());
    }
    recorder.note('ports', client.localPort === accepted.remotePort);
    recorder.note('ports', client.remotePort === accepted.localPort);
    client.end();
  }),

  'names over IPv6': async (net, recorder) => {
    for (const [listenHost, host] of [
      ['::1', '::1'],
      ['::', '127.0.0.1'],
      ['::', '::1'],
      ['0.0.0.0', '127.0.0.1'],
    ] as const) {
      const server = net.createServer();
      const port = await listening(server, { host: listenHost });
      const accepting = once(server, 'connection');
      const client = net.connect(port, host);
      const [accepted] = await accepting;
      if (client.connecting) await once(client, 'connect');
      for (const socket of [client, accepted]) {
        const { localAddress, localFamily, remoteAddress, remoteFamily } = socket;
        recorder.note('names', localAddress, localFamily, remoteAddress, remoteFamily);
        recorder.note('names', socket.address());
      }
      client.destroy();
      accepted.destroy();
      await ended(server, client, accepted);
    }
  },

  'names when it is over': between(async (client, accepted, recorder) => {
    const note = (name: string): void => {
      for (const socket of [client, accepted]) {
        const { localAddress, localFamily, remoteAddress, remoteFamily, remotePort } = socket;
        recorder.note(name, localAddress, localFamily, remoteAddress, remoteFamily);
        recorder.note(name, typeof remotePort, socket.address());
      }
    };
    accepted.end();
    await once(client, 'end');
    note('ended');
    client.destroy();
    accepted.destroy();
    note('destroyed');
  }),
};
