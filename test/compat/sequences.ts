import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import fc from 'fast-check';
import type { NetModule, Recorder } from './recorder.js';

/** One step of either side of a connection. */
export interface Step {
  readonly side: 'client' | 'accepted';
  readonly action: (typeof actions)[number];
  readonly bytes: number;
}

const actions = [
  'write',
  'write',
  'write',
  'writeText',
  'end',
  'endWith',
  'destroy',
  'pause',
  'resume',
  'cork',
  'uncork',
  'setNoDelay',
  'setKeepAlive',
  'setTimeout',
  'unref',
  'ref',
  'resetAndDestroy',
  'destroySoon',
] as const;

export const stepsOf: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    side: fc.constantFrom('client' as const, 'accepted' as const),
    action: fc.constantFrom(...actions),
    bytes: fc.oneof(fc.nat(64), fc.nat(100_000)),
  }),
  { minLength: 1, maxLength: 12 },
);

function take(socket: Socket, { action, bytes }: Step, note: (...what: unknown[]) => void): void {
  const callback = (error?: Error | null): void => note(`${action} done`, error ?? null);
  switch (action) {
    case 'write':
      note('write', socket.write(Buffer.alloc(bytes, bytes), callback));
      return;
    case 'writeText':
      note('write', socket.write('ä'.repeat(bytes), callback));
      return;
    case 'end':
      socket.end(callback);
      return;
    case 'endWith':
      socket.end(Buffer.alloc(bytes, 1), callback);
      return;
    case 'setTimeout':
      socket.setTimeout(60_000);
      return;
    case 'destroySoon':
      socket.destroySoon();
      return;
    default:
      socket[action]();
  }
}

/** Lets everything that is on its way arrive: both ends are in this process. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Takes the steps one after the other, on a connection of `net`. */
export async function runSteps(
  net: NetModule,
  recorder: Recorder,
  steps: readonly Step[],
  allowHalfOpen: boolean,
): Promise<void> {
  const server = net.createServer({ allowHalfOpen });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen });
  recorder.socket('client', client);
  const [accepted] = (await once(server, 'connection')) as [Socket];
  recorder.socket('accepted', accepted);
  const sockets = { client, accepted };
  await settle();
  for (const step of steps) {
    const { side } = step;
    const note = (...what: unknown[]): void => recorder.note(`${side} calls`, ...what);
    try {
      take(sockets[side], step, note);
    } catch (error) {
      note(step.action, error);
    }
    await settle();
    const { writableLength, bytesWritten, readableFlowing, destroyed } = sockets[side];
    note('state', { writableLength, bytesWritten, readableFlowing, destroyed });
  }
  client.destroy();
  accepted.destroy();
  server.close();
  await once(server, 'close');
  await settle();
}
