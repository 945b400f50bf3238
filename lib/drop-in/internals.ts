import { Socket } from 'node:net';
import * as util from 'node:util';

/** What Node's own net code keeps where nobody else is meant to look, found by its traces. Each is the same in Node 20, 22 and 24. */

/** A handle as Node's net code uses one, its own TCP and Pipe among them. */
export interface NodeHandle {
  readonly fd: number;
  reading?: boolean;
  onconnection?: (this: unknown, error: number, client: NodeHandle | undefined) => void;
  onread?: unknown;
  open(fd: number): number;
  readStart(): number;
  readStop(): number;
  useUserBuffer(buffer: Uint8Array): void;
  unref(): void;
  hasRef(): boolean;
  close(callback?: () => void): void;
}

/** Members of `Socket` that its types leave out. */
export interface SocketInternals {
  _handle: unknown;
  _unrefTimer(): void;
  _reset(): void;
  _writeGeneric(writev: boolean, data: unknown, encoding: string, callback: WriteCallback): unknown;
  _pendingData: unknown;
  _pendingEncoding: string;
  /** What streams know of themselves. */
  readonly _readableState: {
    flowing: boolean | null;
    readonly length: number;
    readonly sync: boolean;
    readonly ended: boolean;
    readonly decoder: unknown;
    readonly awaitDrainWriters: unknown;
    dataEmitted: boolean;
  };
  readonly _writableState: {
    readonly length: number;
    readonly writing: boolean;
    readonly corked: number;
    readonly needDrain: boolean;
    readonly ending: boolean;
    readonly destroyed: boolean;
    readonly errored: Error | null;
    readonly constructed: boolean;
    readonly highWaterMark: number;
    readonly defaultEncoding: BufferEncoding;
  };
  readonly encrypted?: boolean;
}

/** The same of `Server`. */
export interface ServerInternals {
  readonly _handle: NodeHandle | null;
  _connections: number;
  readonly allowHalfOpen: boolean;
  readonly highWaterMark: number;
  readonly keepAlive: boolean;
  readonly keepAliveInitialDelay: number;
  readonly noDelay: boolean;
  readonly pauseOnConnect: boolean;
  /** Not in Node 20. */
  readonly blockList?: unknown;
  _listen2(...args: unknown[]): void;
  /** Of a server that decrypts. */
  readonly setSecureContext?: unknown;
}

export type WriteCallback = (error?: Error | null) => void;

function symbolOf(object: object, description: string): symbol {
  const found = Object.getOwnPropertySymbols(object).find(
    (symbol) => symbol.description === description,
  );
  if (found === undefined) throw new Error(`this Node has no ${description}`);
  return found;
}

const probe = { readStart: (): number => 0, close: (): void => {} };
// `handle` and `manualStart` are options that the types leave out; the socket is never used.
const probeSocket = new Socket({ handle: probe, manualStart: true } as object);

/** Where a handle has its socket. */
export const ownerSymbol: symbol = symbolOf(probe, 'owner_symbol');
/** Where a socket has how much waited in its handle when it was last written to: its time-out sees progress by that. */
export const lastWriteQueueSizeSymbol: symbol = symbolOf(probeSocket, 'lastWriteQueueSize');
const bufferSymbol = symbolOf(probeSocket, 'kBuffer');
const bufferFilledSymbol = symbolOf(probeSocket, 'kBufferCb');
const nextBufferSymbol = symbolOf(probeSocket, 'kBufferGen');

/** Members that are found by their symbols; an index costs a tenth of `Reflect.get`, which V8 does not compile. */
type Hidden = Record<symbol, unknown>;

/** What the option `onread` has a socket read into: null without it, true when its function made none. */
export function readBufferOf(socket: object): Uint8Array | true | null {
  return ((socket as Hidden)[bufferSymbol] as Uint8Array | true | undefined) ?? null;
}

/** Tells the callback of `onread` that its buffer holds `count` bytes, and has the next one made; false: it wants no more for now. */
export function tellFilled(socket: object, count: number): boolean {
  const hidden = socket as Hidden;
  const callback = hidden[bufferFilledSymbol] as (count: number, buffer: unknown) => unknown;
  const wantsMore = Reflect.apply(callback, socket, [count, readBufferOf(socket)]) !== false;
  const next = (hidden[nextBufferSymbol] as (() => unknown) | null)?.();
  if (util.types.isUint8Array(next)) Reflect.set(socket, bufferSymbol, next);
  return wantsMore;
}

const { _errnoException } = util as unknown as {
  // Not in the types.
  _errnoException(errno: number, syscall: string): NodeJS.ErrnoException;
};

/** A system's error to the letter as Node makes it. */
export function errnoException(errno: number, syscall: string): NodeJS.ErrnoException {
  return _errnoException(errno, syscall);
}

const { _tickCallback } = process as unknown as { _tickCallback(): void }; // Not in the types.
const tickWarning = 'DEP0134';

/** With `--pending-deprecation` Node warns of the first call, which no user can do anything about. */
function runFirstTicks(): void {
  callTicks = _tickCallback;
  const { emitWarning } = process;
  const giveBack = (): void => {
    if (process.emitWarning === quiet) process.emitWarning = emitWarning;
  };
  const quiet = (...args: unknown[]): void => {
    giveBack();
    if (args[2] !== tickWarning) Reflect.apply(emitWarning, process, args);
  };
  process.emitWarning = quiet;
  try {
    _tickCallback();
  } finally {
    giveBack();
  }
}

let callTicks = runFirstTicks;

/** What `process.nextTick` and promises have waiting runs now, as behind each event of Node's own. */
export function runTicks(): void {
  callTicks();
}
