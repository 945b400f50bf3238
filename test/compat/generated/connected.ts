import type { Socket } from 'node:net';
import fc from 'fast-check';
import { ended, pair, settle } from '../support.js';
import { type Calls, type Generated, type Step, socketCalls, stepsOf, takeAll } from './calls.js';

/** What both ends of a connection may do to each other, in any order. */

interface Life {
  readonly steps: readonly Step[];
  readonly server: { readonly allowHalfOpen: boolean };
  readonly client: { readonly allowHalfOpen: boolean };
  readonly isUnix: boolean;
}

const sides = ['client', 'accepted'];
/** Less than is read at once: what lies unread in the kernel when a socket closes resets the connection. */
const numbers = fc.oneof(fc.nat(64), fc.nat(5_000));
const options = fc.record({ allowHalfOpen: fc.boolean() });

/** Lives of a connection in which these calls are made, over TCP or as `isUnix` says. */
function livesWith(
  calls: Calls<Socket>,
  names: readonly string[],
  runCount: number,
  isUnix = false,
): Generated<Life> {
  return {
    runCount,
    inputs: fc.record({
      steps: stepsOf(sides, names, { numbers }),
      server: options,
      client: options,
      isUnix: fc.constant(isUnix),
    }),
    async play(net, recorder, { steps, ...how }) {
      const { server, client, accepted } = await pair(net, recorder, how);
      await settle(recorder);
      await takeAll({ client, accepted }, calls, steps, recorder);
      client.destroy();
      accepted.destroy();
      await ended(server, client, accepted);
    },
  };
}

const writing = ['write', 'write', 'write', 'writeText', 'writeNothing'];
const ending = ['end', 'endWith', 'destroy', 'destroySoon'];

export const anyCalls: Generated<Life> = livesWith(
  socketCalls,
  [...Object.keys(socketCalls).filter((name) => name !== 'writeMuch'), 'write', 'write', 'write'],
  300,
);

export const halfOpen: Generated<Life> = livesWith(
  socketCalls,
  [...writing, ...ending, 'end', 'endWith', 'pause', 'resume', 'destroyWith'],
  200,
);

export const overUnixSockets: Generated<Life> = livesWith(
  socketCalls,
  [...writing, ...ending, 'pause', 'resume', 'cork', 'uncork', 'resetAndDestroy', 'setNoDelay'],
  150,
  true,
);

/** What libraries do below the surface. */
const legacyCalls: Calls<Socket> = {
  ...socketCalls,
  handle: (socket) => {
    const { _handle: handle } = socket as never as { _handle: { [name: string]: unknown } | null };
    if (handle === null || handle === undefined) return String(handle);
    const { reading, bytesRead, bytesWritten, writeQueueSize } = handle;
    return { reading, bytesRead, bytesWritten, writeQueueSize, fd: (handle['fd'] as number) >= 0 };
  },
  handleNoDelay: (socket, n) => ofHandle(socket)?.setNoDelay?.(n % 2 === 0),
  handleKeepAlive: (socket, n) => ofHandle(socket)?.setKeepAlive?.(n % 2 === 0, 1 + (n % 100)),
  handleReadStop: (socket) => {
    const handle = ofHandle(socket);
    if (handle === null || handle === undefined) return null;
    // As Node's own code does.
    handle.reading = false;
    return handle.readStop();
  },
  handleReadStart: (socket) => {
    const handle = ofHandle(socket);
    if (handle === null || handle === undefined || handle.reading) return null;
    handle.reading = true;
    return handle.readStart();
  },
  handleRef: (socket) => ofHandle(socket)?.ref() ?? null,
  handleUnref: (socket) => ofHandle(socket)?.unref() ?? null,
  handleHasRef: (socket) => ofHandle(socket)?.hasRef(),
  connecting: (socket) => (socket as never as { _connecting: boolean })._connecting,
  bytesDispatched: (socket) => (socket as never as { _bytesDispatched: number })._bytesDispatched,
  pendingData: (socket) => typeof (socket as never as { _pendingData: unknown })._pendingData,
};

interface LegacyHandle {
  setNoDelay?(isOn: boolean): number;
  setKeepAlive?(isOn: boolean, seconds: number): number;
  reading: boolean;
  readStart(): number;
  readStop(): number;
  ref(): void;
  unref(): void;
  hasRef(): boolean;
}

function ofHandle(socket: Socket): LegacyHandle | null {
  return (socket as never as { _handle: LegacyHandle | null })._handle;
}

export const legacy: Generated<Life> = livesWith(
  legacyCalls,
  [...Object.keys(legacyCalls).filter((name) => !(name in socketCalls)), ...writing, ...ending],
  150,
);
