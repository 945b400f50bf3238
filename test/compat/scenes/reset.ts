import {
  between,
  closed,
  ended,
  gone,
  once,
  pair,
  type Scenes,
  settle,
  withServer,
} from '../support.js';

/** Connections that end with a reset, from here and from there, at every stage. */

export const scenes: Scenes = {
  'by the other side': between(async (client, accepted) => {
    accepted.write('x');
    await once(client, 'data');
    accepted.resetAndDestroy();
  }),

  'by the client': between(async (client, accepted) => {
    client.write('x');
    await once(accepted, 'data');
    client.resetAndDestroy();
  }),

  'by both': between((client, accepted) => {
    client.resetAndDestroy();
    accepted.resetAndDestroy();
  }),

  'in the middle of writing': between(async (client, accepted, recorder) => {
    accepted.pause();
    client.write(Buffer.alloc(32 << 20), (error) => recorder.note('callback', error));
    client.write('more', (error) => recorder.note('callback', error));
    accepted.resetAndDestroy();
    await once(client, 'error');
  }),

  'with bytes that nobody has read': between(async (client, accepted, recorder) => {
    client.pause();
    accepted.write('unread');
    await settle(recorder);
    accepted.resetAndDestroy();
    await settle(recorder);
    client.resume();
  }),

  'closing with bytes that nobody has read': between(async (client, accepted, recorder) => {
    client.pause();
    accepted.write(Buffer.alloc(1 << 20));
    await settle(recorder);
    client.destroy();
  }),

  'closing in the turn of an end, with bytes that nobody has read': between((client, accepted) => {
    accepted.write('unread');
    client.end();
    client.destroy();
  }),

  'after an end': between(
    async (client, accepted, recorder) => {
      client.end();
      await settle(recorder);
      client.resetAndDestroy();
      accepted.destroy();
    },
    { server: { allowHalfOpen: true } },
  ),

  'after the end of the other side': between(
    async (client, accepted) => {
      accepted.end('all');
      await once(client, 'end');
      client.resetAndDestroy();
    },
    { client: { allowHalfOpen: true } },
  ),

  'after it is destroyed': between((client, _accepted, recorder) => {
    client.destroy();
    recorder.note('returns', client.resetAndDestroy() === client);
  }),

  twice: between((client) => {
    client.resetAndDestroy();
    client.resetAndDestroy();
  }),

  'before connecting': async (net, recorder) => {
    const client = recorder.socket('client', new net.Socket());
    recorder.note('returns', client.resetAndDestroy() === client);
    await closed(client);
  },

  'while connecting': withServer(async (net, recorder, { port }) => {
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    recorder.note('returns', client.resetAndDestroy() === client);
    await closed(client);
  }),

  'while failing to connect': withServer(async (net, recorder, { refusedPort }) => {
    const client = recorder.socket('client', net.connect(refusedPort, '127.0.0.1'));
    client.resetAndDestroy();
    await closed(client);
  }),

  'in a handler of connection': async (net, recorder) => {
    const server = net.createServer((socket) =>
      recorder.socket('accepted', socket).resetAndDestroy(),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const client = recorder.socket('client', net.connect(port, '127.0.0.1'));
    await closed(client);
    await ended(server);
  },

  'in a handler of data': between((client, accepted) => {
    accepted.once('data', () => accepted.resetAndDestroy());
    client.write('x');
  }),

  'of a Unix socket': async (net, recorder) => {
    const { server, client, accepted } = await pair(net, recorder, { isUnix: true });
    recorder.attempt('returns', () => client.resetAndDestroy());
    await gone(client);
    await ended(server, accepted);
  },

  'while it is written to, again and again': between(
    async (client, accepted, recorder) => {
      client.on('drain', () => client.write(Buffer.alloc(1 << 20)));
      client.write(Buffer.alloc(1 << 20));
      await once(accepted, 'data');
      accepted.resetAndDestroy();
      const [error] = await once(client, 'error');
      recorder.note('error', ['ECONNRESET', 'EPIPE'].includes(error.code));
    },
    { reads: false },
  ),

  'with bytes of its own that wait': between(
    async (client, accepted, recorder) => {
      accepted.pause();
      client.write(Buffer.alloc(32 << 20), (error) => recorder.note('callback', error ?? null));
      await settle(recorder);
      client.resetAndDestroy();
      await settle(recorder);
      accepted.resume();
    },
    { counts: false },
  ),

  'while its end is on its way': between((client, accepted, recorder) => {
    client.end();
    recorder.attempt('reset', () => client.resetAndDestroy() === client);
    accepted.destroy();
  }),

  'a peer that closes while it is written to, and has been ended': between(
    async (client, accepted, recorder) => {
      accepted.write(Buffer.alloc(8 << 20), (error) => recorder.note('callback', error ?? null));
      client.destroy();
      await settle(recorder);
    },
  ),
};
