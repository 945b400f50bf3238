import type { Socket } from 'node:net';
import fc from 'fast-check';
import { closed, freePort, listening, settle } from '../support.js';
import {
  type Calls,
  type Generated,
  type Note,
  type Step,
  socketCalls,
  socketState,
  stepsOf,
  take,
} from './calls.js';

/** A socket that is not connected, one that connects meanwhile, and one that connects more than once. */

interface Life {
  readonly allowHalfOpen: boolean;
  readonly steps: readonly (Step & { readonly settles: boolean })[];
}

const names = [
  ...Object.keys(socketCalls).filter((name) => name !== 'writeMuch'),
  ...['connect', 'connect', 'connect', 'connect', 'connectRefused', 'connectName', 'read'],
];

export const beforeConnect: Generated<Life> = {
  runCount: 200,
  inputs: fc.record({
    allowHalfOpen: fc.boolean(),
    steps: stepsOf(['client'], names, { maxLength: 10 }).chain((steps) =>
      fc.tuple(...steps.map((step) => fc.boolean().map((settles) => ({ ...step, settles })))),
    ),
  }),
  async play(net, recorder, { allowHalfOpen, steps }) {
    const server = net.createServer((socket) => socket.on('error', () => {}).resume());
    const port = await listening(server);
    const refusedPort = await freePort(net);
    let isClosing = false;
    // What happens to one that is connected is in the scenes: there it depends on what the kernel has seen of it so far.
    const connecting =
      (options: object) =>
      (socket: Socket, _n: number, note: Note): unknown => {
        if (!socket.pending && !socket.connecting) return 'connected';
        if (isClosing) return 'closing';
        return socket.connect(options as never, note);
      };
    const host = '127.0.0.1';
    const calls: Calls<Socket> = {
      ...socketCalls,
      connect: connecting({ port, host }),
      connectRefused: connecting({ port: refusedPort, host }),
      connectName: connecting({ port, host: 'some.name', lookup }),
      read: (socket) => socket.read(),
      // While the end is on its way Node fails to, and the socket stays as it is.
      resetAndDestroy: (socket) =>
        socket.connecting || (socket.writableEnded && !socket.writableFinished)
          ? 'not now'
          : socket.resetAndDestroy(),
    };
    const client = recorder.socket('client', new net.Socket({ allowHalfOpen }));
    client.on('close', () => {
      isClosing = false;
    });
    for (const step of steps) {
      const wasDestroyed = client.destroyed;
      take(client, calls, step, recorder);
      isClosing ||= client.destroyed && !wasDestroyed;
      if (step.settles) await settle(recorder);
      recorder.note('client calls', socketState(client));
    }
    await settle(recorder);
    client.destroy();
    server.close();
    await closed(client, server);
  },
};

/** In a tick: what the kernel says comes later than that, always. */
function lookup(_host: string, options: { all?: boolean }, answer: (...values: unknown[]) => void) {
  if (options.all === true) process.nextTick(answer, null, [{ address: '127.0.0.1', family: 4 }]);
  else process.nextTick(answer, null, '127.0.0.1', 4);
}
