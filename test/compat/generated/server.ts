import type { AddressInfo, Server, Socket } from 'node:net';
import fc from 'fast-check';
import { closed, listening, settle } from '../support.js';
import { type Calls, type Generated, type Step, stepsOf, take } from './calls.js';

/** A server that is told to begin and to end in any order, with clients that come and go meanwhile. */
interface Life {
  readonly options: object;
  readonly steps: readonly Step[];
}

const names = [
  ...['listen', 'listen', 'listenTaken', 'listenElsewhere', 'listenNowhere', 'close', 'abort'],
  ...['connect', 'connect', 'connect', 'leave', 'leave', 'maxConnections', 'getConnections'],
  ...['address', 'ref', 'unref', 'dispose', 'endOne', 'resetOne', 'writeToOne'],
];

export const server: Generated<Life> = {
  runCount: 150,
  inputs: fc.record({
    options: fc.record(
      {
        allowHalfOpen: fc.boolean(),
        pauseOnConnect: fc.boolean(),
        noDelay: fc.boolean(),
        keepAlive: fc.boolean(),
        highWaterMark: fc.constantFrom(1, 100_000),
      },
      { requiredKeys: [] },
    ),
    steps: stepsOf(['server'], names, { maxLength: 14, numbers: fc.nat(20) }),
  }),
  async play(net, recorder, { options, steps }) {
    const taken = net.createServer();
    const takenPort = await listening(taken);
    const clients: Socket[] = [];
    const accepted: Socket[] = [];
    const controllers: AbortController[] = [];
    let port = takenPort;
    const main = recorder.server('server', net.createServer(options));
    main.on('listening', () => {
      port = (main.address() as AddressInfo | null)?.port ?? port;
    });
    main.on('connection', (socket) => {
      accepted.push(recorder.socket(`accepted ${accepted.length}`, socket));
    });
    const calls: Calls<Server> = {
      listen: (each, _n, note) => each.listen(0, '127.0.0.1', () => note('listening')),
      listenTaken: (each, _n, note) => each.listen(takenPort, '127.0.0.1', () => note('listening')),
      listenElsewhere: (each) => {
        const controller = new AbortController();
        controllers.push(controller);
        const { signal } = controller;
        return each.listen({ port: 0, host: '127.0.0.1', exclusive: true, signal });
      },
      listenNowhere: (each) => each.listen({ port: 0, host: '198.51.100.7' }),
      close: (each, _n, note) => each.close((error) => note(error ?? null)),
      abort: () => controllers.at(-1)?.abort(),
      connect: () => {
        const client = net.connect(port, '127.0.0.1');
        clients.push(recorder.socket(`client ${clients.length}`, client));
      },
      leave: (_each, n) => clients[n % clients.length]?.destroy() && undefined,
      endOne: (_each, n) => accepted[n % accepted.length]?.end('bye') && undefined,
      resetOne: (_each, n) => accepted[n % accepted.length]?.resetAndDestroy() && undefined,
      writeToOne: (_each, n) => accepted[n % accepted.length]?.write('bytes'),
      maxConnections: (each, n) => {
        each.maxConnections = n % 4;
      },
      getConnections: (each, _n, note) => each.getConnections((error, n) => note(error, n)),
      address: (each) => {
        const address = each.address() as AddressInfo | null;
        return address && { ...address, port: 'PORT' };
      },
      ref: (each) => each.ref(),
      unref: (each) => each.unref(),
      dispose: (each, _n, note) => {
        each[Symbol.asyncDispose]().then(() => note('disposed'), note);
      },
    };
    for (const step of steps) {
      take(main, calls, step, recorder);
      await settle(recorder);
      recorder.note('server calls', { listening: main.listening });
    }
    for (const socket of [...clients, ...accepted]) socket.destroy();
    await closed(...clients, ...accepted);
    for (const each of [main, taken]) {
      if (!each.listening) continue;
      each.close();
      await closed(each);
    }
    await settle(recorder);
  },
};
