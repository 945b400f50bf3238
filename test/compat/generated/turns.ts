import type { Socket } from 'node:net';
import fc from 'fast-check';
import { ended, pair, settle } from '../support.js';
import {
  type Calls,
  type Generated,
  type Step,
  socketCalls,
  socketState,
  stepsOf,
  take,
} from './calls.js';

/**
 * Several calls in one turn of the loop, in ticks and microtasks, and from within the events of the same socket. Over TCP only, and without
 * `setImmediate`: docs/DROP-IN.md says when the end of a Unix socket and `close` come.
 */
interface Turns {
  readonly steps: readonly (Step & { readonly when: string; readonly settles: boolean })[];
  readonly server: object;
  readonly client: object;
}

const encodings = ['hex', 'base64', 'latin1', 'ucs2', 'ascii'] as const;

const calls: Calls<Socket> = {
  ...socketCalls,
  unshift: (socket, n) => socket.unshift(Buffer.alloc(n % 10, 65)),
  flowing: (socket) => socket.readableFlowing,
  writeEncoded: (socket, n, note) =>
    socket.write('616263'.repeat(n % 50), encodings[n % encodings.length]!, note),
};

const names = [
  ...['write', 'write', 'write', 'writeText', 'writeNothing', 'writeEncoded', 'end', 'endWith'],
  ...['destroy', 'destroyWith', 'destroySoon', 'resetAndDestroy', 'pause', 'resume', 'resume'],
  ...['cork', 'uncork', 'uncork', 'setTimeout', 'ref', 'unref', 'unshift', 'flowing'],
  ...['setNoDelay', 'setKeepAlive'],
];

const whens = fc.constantFrom(
  ...['now', 'now', 'now', 'tick', 'microtask', 'data', 'end', 'prefinish', 'finish', 'close'],
  ...['error', 'drain', 'pause', 'resume'],
);

const options = fc.record({
  allowHalfOpen: fc.boolean(),
  highWaterMark: fc.constantFrom(1, 16_384, 100_000),
});

export const turns: Generated<Turns> = {
  runCount: 150,
  inputs: fc.record({
    steps: stepsOf(['client', 'accepted'], names, {
      maxLength: 10,
      numbers: fc.nat(4_000),
    }).chain((steps) =>
      fc.tuple(
        ...steps.map((step) =>
          fc
            .record({ when: whens, settles: fc.boolean() })
            .map(({ when, settles }) => ({ ...step, when, settles })),
        ),
      ),
    ),
    server: options,
    client: options,
  }),
  async play(net, recorder, { steps, ...how }) {
    const { server, client, accepted } = await pair(net, recorder, how);
    await settle(recorder);
    const sockets: Record<string, Socket> = { client, accepted };
    for (const step of steps) {
      const socket = sockets[step.on]!;
      const act = (): void => take(socket, calls, step, recorder);
      if (step.when === 'now') act();
      else if (step.when === 'tick') process.nextTick(act);
      else if (step.when === 'microtask') queueMicrotask(act);
      else socket.once(step.when, act);
      if (!step.settles) continue;
      await settle(recorder);
      recorder.note(`${step.on} calls`, socketState(socket));
    }
    await settle(recorder);
    client.destroy();
    accepted.destroy();
    await ended(server, client, accepted);
  },
};
