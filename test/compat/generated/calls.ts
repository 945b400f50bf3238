import type { Socket } from 'node:net';
import fc from 'fast-check';
import type { NetModule, Recorder } from '../recorder.js';
import { settle } from '../support.js';

/** Scripts that are made up: a group has what may happen in them, and how it is played. */
export interface Generated<Input> {
  readonly inputs: fc.Arbitrary<Input>;
  play(net: NetModule, recorder: Recorder, input: Input): Promise<void>;
  /** In a short run. */
  readonly runCount: number;
}

export type Note = (...what: unknown[]) => void;

/** What can be done to `Target`, by name; `n` is theirs to make something of, and `note` takes what comes later. */
export type Calls<Target> = Readonly<
  Record<string, (target: Target, n: number, note: Note) => unknown>
>;

export interface Step {
  /** Whose call it is. */
  readonly on: string;
  readonly call: string;
  readonly n: number;
}

/** Some are called more often: their names come more than once. */
export function stepsOf(
  on: readonly string[],
  calls: readonly string[],
  { maxLength = 12, numbers = fc.oneof(fc.nat(64), fc.nat(100_000)) } = {},
): fc.Arbitrary<Step[]> {
  const step = fc.record({
    on: fc.constantFrom(...on),
    call: fc.constantFrom(...calls),
    n: numbers,
  });
  return fc.array(step, { minLength: 1, maxLength });
}

/** Takes one step, and notes what it returns or throws and what its callback hears. */
export function take<Target extends object>(
  target: Target,
  calls: Calls<Target>,
  { on, call, n }: Step,
  recorder: Recorder,
): void {
  const name = `${on} calls`;
  const note: Note = (...what) => recorder.note(name, `${call} hears`, ...what);
  try {
    const value = calls[call]!(target, n, note);
    recorder.note(name, call, value === target ? 'itself' : value);
  } catch (thrown) {
    recorder.note(name, call, 'throws', thrown);
  }
}

const saidMuch = new WeakSet<Socket>();

/** More than the kernel takes: of the first 8 MiB that is sure, and later it takes what it sees fit. */
export function writeMuch(socket: Socket, data: string | Uint8Array, note: Note): unknown {
  if (saidMuch.has(socket)) return 'enough';
  saidMuch.add(socket);
  return socket.write(data, note);
}

/** What may be called on any socket. */
export const socketCalls = {
  write: (socket, n, note) => socket.write(Buffer.alloc(n, n), note),
  writeText: (socket, n, note) => socket.write('ä'.repeat(n), note),
  writeNothing: (socket, _n, note) => socket.write('', note),
  writeMuch: (socket, n, note) => writeMuch(socket, Buffer.alloc((8 << 20) + n, n), note),
  end: (socket, _n, note) => socket.end(note),
  endWith: (socket, n, note) => socket.end(Buffer.alloc(n, 1), note),
  destroy: (socket) => socket.destroy(),
  destroyWith: (socket, n) => socket.destroy(new Error(`reason ${n}`)),
  destroySoon: (socket) => socket.destroySoon(),
  resetAndDestroy: (socket) => socket.resetAndDestroy(),
  pause: (socket) => socket.pause(),
  resume: (socket) => socket.resume(),
  cork: (socket) => socket.cork(),
  uncork: (socket) => socket.uncork(),
  setNoDelay: (socket, n) => socket.setNoDelay(n % 2 === 0),
  setKeepAlive: (socket, n) => socket.setKeepAlive(n % 2 === 0, n),
  setTimeout: (socket, n) => socket.setTimeout(n % 2 === 0 ? 0 : 60_000),
  setEncoding: (socket) => socket.setEncoding('latin1'),
  ref: (socket) => socket.ref(),
  unref: (socket) => socket.unref(),
  address: (socket) => Object.keys(socket.address()),
} satisfies Calls<Socket>;

export function socketState(socket: Socket): object {
  const { connecting, pending, readyState, destroyed, closed, errored } = socket;
  const { writableLength, bytesWritten, readableFlowing, bufferSize, timeout } = socket;
  return {
    ...{ connecting, pending, readyState, destroyed, closed, errored: errored?.message },
    ...{ writableLength, bytesWritten, readableFlowing, bufferSize, timeout },
  };
}

/** Takes the steps one after the other, each when nothing moves any more; the state of its socket after each. */
export async function takeAll(
  sockets: Readonly<Record<string, Socket>>,
  calls: Calls<Socket>,
  steps: readonly Step[],
  recorder: Recorder,
): Promise<void> {
  for (const step of steps) {
    const socket = sockets[step.on]!;
    take(socket, calls, step, recorder);
    await settle(recorder);
    recorder.note(`${step.on} calls`, socketState(socket));
  }
}
