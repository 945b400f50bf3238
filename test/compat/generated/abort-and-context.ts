import { AsyncLocalStorage } from 'node:async_hooks';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { closed, ended, listening, once, settle } from '../support.js';
import { type Calls, type Generated, type Step, socketCalls, stepsOf, take } from './calls.js';

/** A signal that comes at any point of a life, each call of which is made in a context of its own. */
interface Life {
  readonly abortAt: number;
  readonly waitsToConnect: boolean;
  readonly allowHalfOpen: boolean;
  readonly steps: readonly Step[];
}

const events = ['connect', 'ready', 'data', 'end', 'drain', 'finish', 'error', 'close'] as const;

const names = [
  ...['write', 'write', 'writeText', 'end', 'endWith', 'destroy', 'resetAndDestroy'],
  ...['pause', 'resume', 'cork', 'uncork', 'destroySoon'],
];

/** @param saysContext each event and callback notes the context that it is heard in */
function lives(saysContext: boolean): Generated<Life> {
  return {
    runCount: 120,
    inputs: fc.record({
      abortAt: fc.integer({ min: 0, max: 16 }),
      waitsToConnect: fc.boolean(),
      allowHalfOpen: fc.boolean(),
      steps: stepsOf(['client', 'accepted'], names, { maxLength: 8, numbers: fc.nat(5_000) }),
    }),
    async play(net, recorder, { abortAt, waitsToConnect, allowHalfOpen, steps }) {
      const storage = new AsyncLocalStorage<string>();
      const controller = new AbortController();
      const follow = (name: string, socket: Socket): void => {
        let last = '';
        for (const event of events) {
          socket.on(event, () => {
            const heard = `${event} ${storage.getStore()}`;
            // Into how many pieces bytes fall is not for us to say.
            if (saysContext && heard !== last) recorder.note(`${name} context`, heard);
            last = heard;
          });
        }
      };
      const server = net.createServer({ allowHalfOpen });
      const port = await storage.run('listen', () => listening(server));
      server.on('connection', (socket) => follow('accepted', socket));
      const accepting = once(server, 'connection');
      const client = storage.run('connect', () =>
        net.connect({ port, host: '127.0.0.1', allowHalfOpen, signal: controller.signal }),
      );
      recorder.socket('client', client);
      follow('client', client);
      if (waitsToConnect) await once(client, 'connect');
      const [accepted] = await accepting;
      recorder.socket('accepted', accepted);
      if (waitsToConnect) await settle(recorder);
      const sockets: Record<string, Socket> = { client, accepted };
      for (const [i, step] of steps.entries()) {
        if (i === abortAt) storage.run('abort', () => controller.abort());
        storage.run(`${i} ${step.call}`, () => {
          const contextual: Calls<Socket> = {
            [step.call]: (socket, n, note) =>
              (socketCalls as Calls<Socket>)[step.call]!(socket, n, (...what) =>
                note(saysContext ? storage.getStore() : '', ...what),
              ),
          };
          take(sockets[step.on]!, contextual, step, recorder);
        });
        await settle(recorder);
      }
      client.destroy();
      accepted.destroy();
      await closed(client, accepted);
      await ended(server);
    },
  };
}

export const aborted: Generated<Life> = lives(false);
export const contexts: Generated<Life> = lives(true);
