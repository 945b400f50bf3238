import dns from 'node:dns';
import type { NetConnectOpts } from 'node:net';
import fc from 'fast-check';
import { closed, freePort, gone, listening, once, withFolder } from '../support.js';
import type { Generated } from './calls.js';

/**
 * Options of `connect` and `listen` that were never meant to come together. LIVE, REFUSED and FOLDER are filled in.
 * No name is looked up, since nothing tells when a look-up ends whose socket is gone.
 */

const oneOf = (...values: unknown[]): fc.Arbitrary<unknown> => fc.constantFrom(...values);

const someOf = (options: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<object> =>
  fc.record(options, { requiredKeys: [] });

const badPorts = [
  65_536,
  -1,
  1.5,
  Number.NaN,
  'x',
  ' ',
  '',
  '0x50000',
  true,
  null,
  {},
  [],
  undefined,
];

const connects = fc.record({
  how: fc.constantFrom('options', 'positions', 'member'),
  options: fc
    .record({
      usual: fc.record({
        port: fc.oneof({ weight: 4, arbitrary: oneOf('LIVE', 'REFUSED') }, oneOf(...badPorts)),
        host: fc.oneof(
          { weight: 3, arbitrary: oneOf('127.0.0.1', '::1') },
          oneOf(undefined, null, '', 7, {}, '127.0.0.2', '::ffff:127.0.0.1'),
        ),
      }),
      more: someOf({
        path: oneOf(undefined, null, '', 7, {}, 'FOLDER/none'),
        localAddress: oneOf(
          undefined,
          null,
          '127.0.0.1',
          '127.0.0.3',
          '::1',
          '198.51.100.7',
          'x',
          7,
        ),
        localPort: oneOf(undefined, null, 0, 'x', -1, 70_000, 1.5, 'LIVE', '0'),
        family: oneOf(undefined, null, 0, 4, 6, 5, 'IPv4', '4', -1),
        hints: oneOf(undefined, 0, dns.ADDRCONFIG, 'x', -1, 0xff_ff),
        autoSelectFamily: oneOf(undefined, null, true, false, 'yes', 1),
        autoSelectFamilyAttemptTimeout: oneOf(undefined, 500, 10_000, 0, -1, 'x'),
        noDelay: oneOf(true, false, 'yes', 0),
        keepAlive: oneOf(true, false, 'yes', 0),
        keepAliveInitialDelay: oneOf(0, -1, 1_000, 'x'),
        timeout: oneOf(0, 60_000, -1, 'x', null),
        allowHalfOpen: oneOf(true, 'yes', 0),
        readable: oneOf(true, false),
        writable: oneOf(true, false),
        highWaterMark: oneOf(0, 1, 100_000, -1, 'x'),
        signal: oneOf(undefined, AbortSignal.abort(), 'x'),
        lookup: oneOf(undefined, 7, 'x'),
        objectMode: oneOf(false, true),
      }),
    })
    .map(({ usual, more }): object => ({ ...usual, ...more })),
});

const listens = fc.record({
  how: fc.constantFrom('options', 'positions'),
  options: fc
    .record({
      port: fc.oneof({ weight: 3, arbitrary: oneOf(0, '0', 'LIVE') }, oneOf(...badPorts)),
      more: someOf({
        host: oneOf(undefined, null, '', '127.0.0.1', '::1', '::', '198.51.100.7', 7),
        path: oneOf(
          undefined,
          null,
          '',
          7,
          {},
          'FOLDER/s',
          'FOLDER/none/at/all',
          `FOLDER/${'x'.repeat(200)}`,
        ),
        backlog: oneOf(undefined, 0, 1, 511, 'x', -1),
        exclusive: oneOf(true, false, 'yes'),
        ipv6Only: oneOf(true, false, 'yes'),
        readableAll: oneOf(true, false, 'yes'),
        writableAll: oneOf(true, false, 'yes'),
        fd: oneOf(undefined, null, -1, 'x', 1.5),
        signal: oneOf(undefined, AbortSignal.abort(), 'x'),
      }),
    })
    .map(({ port, more }): object => ({ port, ...more })),
});

function filledIn(options: object, places: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => {
      if (typeof value !== 'string') return [name, value];
      const folder = String(places['FOLDER']);
      return [name, places[value] ?? value.replace('FOLDER', folder)];
    }),
  );
}

/** As what the options say would stand in a list of arguments. */
function inPositions(options: object): unknown[] {
  const { port, path, host, backlog } = options as Record<string, unknown>;
  return [port ?? path, host, backlog].filter((each) => each !== undefined);
}

interface Call {
  readonly how: string;
  readonly options: object;
}

export const connectArguments: Generated<Call> = {
  runCount: 150,
  inputs: connects,
  play: (net, recorder, { how, options }) =>
    withFolder(async (FOLDER) => {
      const server = net.createServer((socket) => socket.on('error', () => {}).resume());
      const places = {
        LIVE: await listening(server, { host: '::' }),
        REFUSED: await freePort(net),
        FOLDER,
      };
      const filled = filledIn(options, places) as NetConnectOpts;
      const socket = recorder.attempt('call', () => {
        if (how === 'member') return new net.Socket(filled).connect(filled);
        const values = how === 'options' ? [filled] : inPositions(filled);
        return Reflect.apply(net.connect, net, values);
      });
      if (socket !== undefined) {
        recorder.socket('socket', socket);
        await Promise.race([once(socket, 'connect'), closed(socket)]);
        recorder.note('socket', socket.remoteAddress, socket.localAddress, socket.timeout);
        await gone(socket);
      }
      server.close();
      await closed(server);
    }),
};

export const listenArguments: Generated<Call> = {
  runCount: 100,
  inputs: listens,
  play: (net, recorder, { how, options }) =>
    withFolder(async (FOLDER) => {
      const other = net.createServer();
      const places = { LIVE: await listening(other, { host: '::' }), FOLDER };
      const filled = filledIn(options, places);
      const server = recorder.server('server', net.createServer());
      const outcome = Promise.race([
        once(server, 'listening'),
        once(server, 'error'),
        once(server, 'close'),
      ]);
      const values = how === 'options' ? [filled] : inPositions(filled);
      const called = recorder.attempt('call', () => Reflect.apply(server.listen, server, values));
      if (called !== undefined) await outcome;
      recorder.note('server', server.address());
      if (server.listening) {
        server.close();
        await closed(server);
      }
      other.close();
      await closed(other);
    }),
};
