import { AsyncResource, executionAsyncId } from 'node:async_hooks';
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { types } from 'node:util';
import { PaipaiError } from '../base/errors.js';
import { type Chunk, type NativeCore, type RawEvents, rawCopyBytesMax } from '../native/handles.js';
import {
  errnoException,
  lastWriteQueueSizeSymbol,
  type NodeHandle,
  ownerSymbol,
  readBufferOf,
  runTicks,
  type SocketInternals,
  tellFilled,
  type WriteCallback,
} from './internals.js';
import { passOn } from './short-cuts.js';

/** Results of the system are `-errno`. */
const { EAGAIN, EALREADY, ECANCELED, EINVAL, EISCONN, ENOBUFS, ENOTCONN } = constants.errno;

// A test's own timers must not keep a socket from closing.
const { setImmediate } = globalThis;

/** Node 20 tells of no failure of a write when the socket is destroyed meanwhile; later ones do. */
const destroyedHearsOfFailure = Number(process.versions.node.split('.')[0]) > 20;

/**
 * What Node's net code reckons with before it knows the length of a text in bytes. Encodings whose length is only known when they are
 * decoded are not here.
 */
const bytesPerCharacterMax: ReadonlyMap<string, number> = new Map([
  ['utf8', 3],
  ['utf-8', 3],
  ['latin1', 1],
  ['binary', 1],
  ['ascii', 1],
  ['ucs2', 2],
  ['ucs-2', 2],
  ['utf16le', 2],
  ['utf-16le', 2],
]);

export function isPlainEncoding(encoding: unknown): encoding is BufferEncoding {
  return typeof encoding === 'string' && bytesPerCharacterMax.has(encoding);
}

/** What Node's handles say of a text that they are to take for a buffer, which streams let pass. */
function noBuffer(): TypeError {
  const error = new TypeError('Second argument must be a buffer');
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

/** What Node's TCP and Pipe call a connection, as against a server. */
const socketType = 0;

/** Up to this Node writes a text without memory of its own. */
const shortTextBytesMax = 16 * 1024;

/** So often libuv reads on at once where the buffer was filled. */
const readsMax = 32;

/** Chunks of many are copied together below this: a piece of its own costs the kernel and us as much. */
const referencedBytesMin = 16 * 1024;

/** A request to connect, as Node's net code makes it. */
interface ConnectRequest {
  oncomplete(
    status: number,
    handle: unknown,
    request: ConnectRequest,
    isReadable: boolean,
    isWritable: boolean,
  ): void;
}

/** A request to shut down, as Node's net code makes it. */
interface ShutdownRequest {
  oncomplete(status: number): void;
}

interface Waiting {
  readonly settle: (result: number) => void;
  readonly resource: AsyncResource;
}

/** The context of no caller. */
export const nobody: AsyncResource = new AsyncResource('paipainet');

/** As of a handle that Node makes for a connection: its cause is who runs now, whose context it has not. */
function resourceOfNobody(type: string): AsyncResource {
  const triggerAsyncId = executionAsyncId();
  return nobody.runInAsyncScope(() => new AsyncResource(type, { triggerAsyncId }));
}

/** A write of `bytes` bytes; `result` is 0 when all is with the kernel, 1 when the rest of it waits under `token`. */
interface Sent {
  readonly result: number;
  readonly token: number;
  readonly bytes: number;
}

/**
 * What a socket of Node's has in the place of its TCP or Pipe handle once it is connected: the same connection, carried by the addon.
 * Whatever a handle of Node's answers to, this answers to in the same way.
 */
export class RawHandle implements RawEvents {
  reading = false;
  bytesRead = 0;
  bytesWritten = 0;
  onread: unknown;
  protected readonly core: NativeCore;
  protected readonly raw: number;
  readonly #type: string;
  /** What the events of its socket belong to, for `async_hooks` and AsyncLocalStorage. */
  #resource: AsyncResource;
  /** The socket that has it. */
  owner: (Socket & SocketInternals) | undefined;
  #lastToken = 0;
  /** What waits, in order, by token; most connections never have any. */
  #waiting: Map<number, Waiting> | undefined;
  /** What `begin` has sent, for the `write` that follows it at once. */
  #begun: Sent | undefined;
  /** Of the handle that this stands for. */
  readonly #NodeHandle: new (
    type: number,
  ) => NodeHandle;
  #isReading = false;
  /** Of a socket with the option `onread`: whether its last read left nothing in the kernel. */
  #hasReadAll: boolean | undefined;
  #isShuttingDown = false;
  #hasShutDown = false; // Or is about to.
  #isClosed = false;
  #isGone = false;
  /** Node's own handle, once it has the connection. */
  #successor: NodeHandle | undefined;
  /** With a successor: whether what that reads is the socket's. */
  #isReadOn = false;
  #isReferenced = true;

  constructor(core: NativeCore, handle: NodeHandle, type: string, isAccepted: boolean) {
    this.#type = type;
    this.#resource = isAccepted ? resourceOfNobody(type) : new AsyncResource(type);
    this.core = core;
    this.#NodeHandle = handle.constructor as new (type: number) => NodeHandle;
    this.raw = core.adoptRaw(handle.fd, this);
  }

  /** False: the addon could not take the connection; it is where it was. */
  get isCarried(): boolean {
    return this.raw > 0;
  }

  /**
   * A handle of Node's over the same connection, for what takes no other; this one is closed.
   * @param isReadOn by the socket itself, not by something that sits between it and the connection
   * @throws PaipaiError PAIPAI_ERR_INVALID_STATE while bytes wait to be sent; what the system throws.
   */
  giveBack(isReadOn: boolean): NodeHandle {
    if (this.writeQueueSize > 0) {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_STATE',
        'a socket is handed over while it sends: wait for the callback of its last write',
      );
    }
    const handle = this.#copyForNode();
    this.#successor = handle;
    this.#isReadOn = isReadOn;
    this.core.deliverRaw(this.raw);
    handle.onread = this.onread;
    this.#giveBuffer(handle);
    if (this.reading) {
      handle.reading = true;
      handle.readStart();
    }
    if (!this.#isReferenced) handle.unref();
    this.#isClosed = true;
    this.core.closeRaw(this.raw, false);
    // Nothing waits in the kernel's stead, so all of it is done.
    for (const { settle, resource } of this.#takeWaiting()) {
      setImmediate(() => this.#run(settle, 0, resource));
    }
    return handle;
  }

  get fd(): number {
    return this.#isGone ? -EINVAL : this.core.rawDescriptor(this.raw);
  }

  get writeQueueSize(): number {
    return this.core.rawQueuedBytes(this.raw);
  }

  getAsyncId(): number {
    return this.#resource.asyncId();
  }

  /** For an agent of http, which gives the connection to another request. */
  asyncReset(): void {
    this.#resource = new AsyncResource(this.#type);
  }

  getProviderType(): number {
    return 0; // A name for traces, which nobody has asked for.
  }

  readStart(): number {
    if (this.#isReading) return -EALREADY;
    this.#isReading = true;
    this.reading = true;
    this.core.resumeRaw(this.raw);
    return 0;
  }

  readStop(): number {
    this.#isReading = false;
    this.reading = false;
    this.core.pauseRaw(this.raw);
    return 0;
  }

  /** It is read directly before its callback, as with Node: several sockets may have one buffer. */
  useUserBuffer(): void {
    this.#hasReadAll = false;
    this.core.announceRaw(this.raw);
  }

  ref(): void {
    this.#isReferenced = true;
    this.core.setRawKeepsAlive(this.raw, true);
  }

  unref(): void {
    this.#isReferenced = false;
    this.core.setRawKeepsAlive(this.raw, false);
  }

  hasRef(): boolean {
    return this.#isReferenced && !this.#isClosed;
  }

  shutdown(request: ShutdownRequest): number {
    // A socket that connects once more over the same connection asks again.
    if (this.#isClosed || this.#hasShutDown) return -ENOTCONN;
    this.#hasShutDown = true;
    const token = this.#nextToken();
    this.#isShuttingDown = true;
    this.#wait('SHUTDOWNWRAP', token, (result) => {
      this.#isShuttingDown = false;
      request.oncomplete(result);
    });
    this.core.shutDownRaw(this.raw, token);
    return 0;
  }

  close(callback?: () => void): void {
    this.#end(false, callback);
  }

  reset(callback?: () => void): number {
    if (this.#isShuttingDown) return -EINVAL;
    this.#end(true, callback);
    return 0;
  }

  /** It is connected: what a socket of Node's hears that connects once more. */
  connect(request: ConnectRequest): number {
    this.completeConnect(request, -EISCONN);
    return 0;
  }

  bind(): number {
    return -EINVAL;
  }

  bind6(): number {
    return -EINVAL;
  }

  /**
   * Sends one chunk of a socket that has nothing else to send. False: some of it waits, or it failed, and `write` of the same chunk, which has
   * to follow at once, goes on with it.
   */
  begin(data: string | Uint8Array, encoding: BufferEncoding): boolean {
    const sent = this.#send(data, encoding);
    if (sent.result === 0) return true;
    this.#begun = sent;
    return false;
  }

  /** Behind that `write`, for when somebody has kept it from coming. */
  forgetBegun(): void {
    this.#begun = undefined;
  }

  /** Sends one chunk of a socket; `callback` once it is with the kernel, within this call where that is at once. */
  write(data: string | Uint8Array, encoding: BufferEncoding, callback: WriteCallback): void {
    const sent = this.#begun ?? this.#send(data, encoding);
    this.#begun = undefined;
    this.#settle(sent, callback);
  }

  /** Sends the chunks of a socket, all or nothing: one that fails, fails those behind it. */
  writeAll(chunks: readonly Chunk[], callback: WriteCallback): void {
    this.#settle(this.#sendAll(chunks), callback);
  }

  onData(bytes: Buffer, start: number, end: number, owned: boolean): void {
    this.bytesRead += end - start;
    const chunk = owned ? bytes.subarray(start, end) : copyOf(bytes, start, end);
    if (this.#successor !== undefined) this.#keep(chunk);
    else this.#run(this.takeData, chunk);
  }

  onReadable(): void {
    for (
      let reads = 0;
      reads < readsMax && this.#isReading && this.#successor === undefined;
      reads++
    ) {
      const buffer = this.#readBuffer;
      if (this.#isClosed || buffer === undefined) return;
      const count = buffer.length === 0 ? -ENOBUFS : this.core.readRaw(this.raw, buffer);
      this.#hasReadAll = count < buffer.length;
      if (count === -EAGAIN) return;
      if (count <= 0) {
        this.onEnd(count);
        return;
      }
      this.bytesRead += count;
      this.#run(this.takeFilled, count);
      if (this.#hasReadAll) return;
    }
  }

  onEnd(result: number): void {
    if (this.#hasReadAll !== undefined) {
      // It hung up behind its last bytes, which are read first.
      if (result === 0 && !(this.#hasReadAll && this.#isReading)) return;
      this.core.pauseRaw(this.raw);
    }
    this.#isReading = false;
    if (this.#successor === undefined) this.#run(this.takeEnd, result);
    // Whoever has the connection next sees its end too; a reset is told once.
    else if (result !== 0) setImmediate(() => this.#run(this.takeEnd, result));
  }

  onDone(token: number, result: number): void {
    const waiting = this.#waiting?.get(token);
    this.#waiting?.delete(token);
    if (waiting === undefined) return;
    const { settle, resource } = waiting;
    // What the socket writes next, or its end, is for the handle that it is about to have.
    if (this.#successor !== undefined) setImmediate(() => this.#run(settle, result, resource));
    else this.#run(settle, result, resource);
  }

  protected completeConnect(request: ConnectRequest, status: number): void {
    setImmediate(() =>
      this.#run((each) => each.oncomplete(status, this, each, true, true), request),
    );
  }

  protected takeData(chunk: Buffer): void {
    const socket = this.owner;
    if (socket === undefined) return;
    socket._unrefTimer();
    if (socket.destroyed || passOn(socket, chunk)) return;
    if (!this.#isClosed) this.readStop();
  }

  protected takeFilled(count: number): void {
    const socket = this.owner;
    if (socket === undefined) return;
    socket._unrefTimer();
    if (socket.destroyed) return;
    const wantsMore = tellFilled(socket, count);
    const successor = this.#successor;
    if (successor !== undefined) {
      // The callback may have named another buffer. What has begun to read instead of the socket keeps its place.
      if (this.#isReadOn) this.#giveBuffer(successor);
      if (wantsMore) return;
      successor.reading = false;
      successor.readStop();
    } else if (!wantsMore && !this.#isClosed) {
      this.readStop();
    }
  }

  protected takeEnd(result: number): void {
    const socket = this.owner;
    if (socket === undefined) return;
    socket._unrefTimer();
    if (result !== 0) {
      socket.destroy(errnoException(result, 'read'));
      return;
    }
    if (socket.readableEnded) return;
    socket.push(null);
    socket.read(0);
  }

  /** What `onread` has the socket read into, if it has that option. */
  get #readBuffer(): Uint8Array | undefined {
    const buffer = this.owner === undefined ? null : readBufferOf(this.owner);
    return types.isUint8Array(buffer) ? buffer : undefined;
  }

  #giveBuffer(handle: NodeHandle): void {
    const buffer = this.#readBuffer;
    if (buffer !== undefined) handle.useUserBuffer(buffer);
  }

  /** A handle of Node's over the same connection. */
  #copyForNode(): NodeHandle {
    const fd = this.core.copyRawDescriptor(this.raw);
    if (fd < 0) throw errnoException(fd, 'dup');
    const handle = new this.#NodeHandle(socketType);
    const opened = handle.open(fd);
    if (opened >= 0) return handle;
    handle.close();
    closeSync(fd);
    throw errnoException(opened, 'open');
  }

  /** For who takes the socket over, and looks at what it has read so far; its listeners are of the time before. */
  #keep(chunk: Buffer): void {
    const socket = this.owner;
    if (socket === undefined) return;
    const { _readableState: state } = socket;
    const { flowing } = state;
    state.flowing = false;
    socket.push(chunk);
    state.flowing = flowing;
  }

  /** What is told later is told in the context of who asks now. */
  #wait(type: string, token: number, settle: (result: number) => void): void {
    this.#waiting ??= new Map();
    this.#waiting.set(token, { settle, resource: new AsyncResource(type) });
  }

  #takeWaiting(): Iterable<Waiting> {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting?.values() ?? [];
  }

  #nextToken(): number {
    this.#lastToken = (this.#lastToken + 1) >>> 0;
    return this.#lastToken;
  }

  #send(data: string | Uint8Array, encoding: BufferEncoding): Sent {
    const { core, raw } = this;
    const token = this.#nextToken();
    if (typeof data !== 'string') {
      this.bytesWritten += data.length;
      return { result: core.writeRaw(raw, data, token), token, bytes: data.length };
    }
    if ((encoding as string) === 'buffer') throw noBuffer();
    const charBytes =
      bytesPerCharacterMax.get(encoding) ?? bytesPerCharacterMax.get(encoding.toLowerCase());
    const length = charBytes === undefined ? 0 : Buffer.byteLength(data, encoding);
    if (charBytes === undefined || length > rawCopyBytesMax) {
      return this.#send(Buffer.from(data, encoding), encoding);
    }
    const result = core.writeRawText(raw, data, encoding, length, token);
    // Node counts a buffer that fails, and a longer text, but no short one.
    if (result >= 0 || data.length * charBytes > shortTextBytesMax) {
      this.bytesWritten += length;
    }
    return { result, token, bytes: length };
  }

  #sendAll(chunks: readonly Chunk[]): Sent {
    const { core, raw } = this;
    const token = this.#nextToken();
    const bytes = bytesToCopy(chunks);
    if (bytes !== undefined) {
      this.bytesWritten += bytes;
      return { result: core.writeRawCopy(raw, chunks, bytes, token), token, bytes };
    }
    const pieces = piecesOf(chunks);
    const total = pieces.reduce((sum, { length }) => sum + length, 0);
    this.bytesWritten += total;
    return { result: core.writeRawAll(raw, pieces, token), token, bytes: total };
  }

  #settle({ result, token, bytes }: Sent, callback: WriteCallback): void {
    if (result === 0) {
      callback();
      return;
    }
    if (result < 0) {
      callback(errnoException(result, 'write'));
      return;
    }
    const socket = this.owner;
    this.#noteQueue(bytes);
    this.#wait('WRITEWRAP', token, (outcome) => {
      const isGone = socket === undefined || socket.destroyed;
      if (outcome < 0 && (destroyedHearsOfFailure || !isGone)) {
        callback(errnoException(outcome, 'write'));
      } else if (isGone) callback(null);
      else {
        socket._unrefTimer();
        this.#noteQueue(0);
        callback(null);
      }
    });
  }

  #noteQueue(bytes: number): void {
    if (this.owner !== undefined) Reflect.set(this.owner, lastWriteQueueSizeSymbol, bytes);
  }

  #end(resets: boolean, callback: (() => void) | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.core.closeRaw(this.raw, resets);
    setImmediate(() => {
      this.#isGone = true;
      for (const { settle, resource } of this.#takeWaiting()) {
        this.#run(settle, -ECANCELED, resource);
      }
      if (callback !== undefined) this.#run(callback, undefined);
    });
  }

  /** In an async context, by default the connection's; what it throws and what it leaves for later come out before the next event. */
  #run<Value>(
    action: (value: Value) => void,
    value: Value,
    resource: AsyncResource = this.#resource,
  ): void {
    resource.runInAsyncScope(this.#guarded, this, action, value);
    for (;;) {
      try {
        runTicks();
        return;
      } catch (thrown) {
        // Node forgets in which tick that was when it is uncaught, so that must happen here, before the next one.
        this.core.throwUncaught(thrown);
      }
    }
  }

  /** What is thrown is uncaught in the context that it was thrown in, and before what was left for later. */
  #guarded<Value>(action: (value: Value) => void, value: Value): void {
    try {
      action.call(this, value);
    } catch (thrown) {
      this.core.throwUncaught(thrown);
    }
  }
}

Object.defineProperty(RawHandle.prototype, ownerSymbol, {
  get(this: RawHandle) {
    return this.owner;
  },
  set(this: RawHandle, socket: Socket & SocketInternals) {
    this.owner = socket;
  },
});

interface AddressInto {
  address?: string;
  family?: string;
  port?: number;
}

/** Of a TCP connection. */
export class RawTcpHandle extends RawHandle {
  /** The system takes what has connected for what connects, once, when it is asked again. */
  mayConnectAgain = false;
  #remote: string | undefined;

  override connect(request: ConnectRequest): number {
    if (!this.mayConnectAgain) return -EISCONN;
    this.mayConnectAgain = false;
    this.completeConnect(request, 0);
    return 0;
  }

  override shutdown(request: ShutdownRequest): number {
    this.mayConnectAgain = false;
    // Once both sides have ended the system knows no more.
    this.#remote ??= this.core.rawAddress(this.raw, true);
    return super.shutdown(request);
  }

  connect6(request: ConnectRequest): number {
    return this.connect(request);
  }

  setNoDelay(noDelay?: boolean): number {
    return this.core.setRawNoDelay(this.raw, noDelay ?? true);
  }

  /** @param idleSeconds 0: as the system has it, and EINVAL */
  setKeepAlive(keepAlive: boolean, idleSeconds: number): number {
    const result = this.core.setRawKeepAlive(this.raw, keepAlive, idleSeconds);
    // libuv says that too, and has turned it on.
    return keepAlive && idleSeconds === 0 ? -EINVAL : result;
  }

  getsockname(out: AddressInto): number {
    return addressInto(out, this.core.rawAddress(this.raw, false));
  }

  getpeername(out: AddressInto): number {
    return addressInto(out, this.core.rawAddress(this.raw, true) ?? this.#remote);
  }
}

function addressInto(out: AddressInto, text: string | undefined): number {
  const parts = /^tcp:\/\/(?:\[(.*)\]|([^:]*)):(\d+)$/.exec(text ?? '');
  if (parts === null) return -ENOTCONN;
  const [, six, four, port] = parts;
  out.address = six ?? four ?? '';
  out.family = six === undefined ? 'IPv4' : 'IPv6';
  out.port = Number(port);
  return 0;
}

/** The same bytes in as few buffers as it takes to copy none of the large ones. */
function piecesOf(chunks: readonly Chunk[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  for (const { chunk, encoding } of chunks) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
    if (bytes.length < referencedBytesMin) {
      small.push(bytes);
      continue;
    }
    if (small.length > 0) pieces.push(Buffer.concat(small));
    small = [];
    pieces.push(bytes);
  }
  if (small.length > 0) pieces.push(Buffer.concat(small));
  return pieces;
}

/** How many bytes they are; undefined when they are too many to be copied, or their number is not known before they are decoded. */
function bytesToCopy(chunks: readonly Chunk[]): number | undefined {
  let bytes = 0;
  for (const { chunk, encoding } of chunks) {
    if (typeof chunk !== 'string' || chunk.length === 0) bytes += chunk.length;
    else if (bytesPerCharacterMax.has(encoding)) bytes += Buffer.byteLength(chunk, encoding);
    else return undefined;
  }
  return bytes <= rawCopyBytesMax ? bytes : undefined;
}

function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}
