import type { Socket } from 'node:net';
import fc from 'fast-check';
import { ended, pair, settle } from '../support.js';
import { type Calls, type Generated, type Step, socketCalls, stepsOf, takeAll } from './calls.js';

/** Time is up when the script says so: `runOut` is what the timer calls, and no timer of its own fires within a run. */

interface Silence {
  readonly steps: readonly Step[];
}

interface Timed {
  _onTimeout(): void;
}

/** Symbols of Node's net code; the timer it holds has none of its own that one could see from outside. */
function timerOf(socket: Socket): { _destroyed?: boolean; hasRef?(): boolean } | null | undefined {
  for (let object: object = socket; object !== null; object = Object.getPrototypeOf(object)) {
    const symbol = Object.getOwnPropertySymbols(object).find((s) => s.description === 'timeout');
    if (symbol !== undefined) return Reflect.get(socket, symbol);
  }
  return undefined;
}

const calls: Calls<Socket> = {
  ...socketCalls,
  setTimeout: (socket, n, note) => socket.setTimeout(n % 3 === 0 ? 0 : 60_000 + n, note),
  setWrong: (socket, n) => socket.setTimeout([-1, 'x', Number.NaN, null][n % 4] as number),
  runOut: (socket) => (socket as never as Timed)._onTimeout(),
  timer: (socket) => {
    const timer = timerOf(socket);
    return timer && { isGone: timer._destroyed, isReferenced: timer.hasRef?.() };
  },
  listeners: (socket) => socket.listenerCount('timeout'),
};

const names = [
  ...['setTimeout', 'setTimeout', 'setWrong', 'runOut', 'runOut', 'timer', 'listeners'],
  ...['write', 'writeMuch', 'pause', 'resume', 'end', 'destroy', 'ref', 'unref'],
];

export const timeOuts: Generated<Silence> = {
  runCount: 40,
  inputs: fc.record({ steps: stepsOf(['client', 'client', 'accepted'], names) }),
  async play(net, recorder, { steps }) {
    const { server, client, accepted } = await pair(net, recorder);
    await settle(recorder);
    await takeAll({ client, accepted }, calls, steps, recorder);
    client.destroy();
    accepted.destroy();
    await ended(server, client, accepted);
  },
};
