import { errorOfResult, PaipaiError, resultOfCode, systemError } from '../base/errors.js';
import {
  descriptorWords,
  EventKind,
  FrameType,
  type NativeBinding,
  oneOf,
  padded,
  severalItemBytes,
} from './binding.js';
import { type IoChoice, type IoInUse, type IoWish, ioWish } from './io.js';
import { headerBytes, Outbox, writeHeader } from './outbox.js';

/** A frame as the addon reports it; one object for all, good during the call. `FrameView` of the transport has the same shape. */
export interface NativeFrame {
  type: number;
  flags: number;
  name: number;
  streamId: number;
  argument: number;
  bytes: Uint8Array;
  start: number;
  end: number;
  owned: boolean;
}

/** What happens on one connection. */
export interface ConnectionEvents {
  onConnected(): void;
  onFrame(frame: NativeFrame): void;
  /** Whether it takes a whole frame of several; otherwise its payloads follow one by one. */
  onSeveral(frame: NativeFrame): boolean;
  onSink(streamId: number, landedBytes: number, crc32c: number): void;
  onSent(token: number, crc32c: number): void;
  onDrain(): void;
  /** The connection is gone; 0 is an orderly end, else a result for `errorOfResult`. */
  onClosed(result: number): void;
}

export interface ListenerEvents {
  onAccepted(connection: number): void;
  /** Accepting stopped for want of something (EMFILE …) until `resumeListener`. */
  onPaused(result: number): void;
}

const backlog = 511;
const hasSinkResult = resultOfCode('PAIPAI_ERR_INVALID_STATE');

const ioNames = { epoll: 'epoll', uring: 'io_uring' };

/** An index in the low bits of a number of the addon; a generation stands above it. `HandleTable` of the addon is the same. */
const indexMask = (1 << 19) - 1;

/** Things by the numbers of the addon: what a Map takes for each would be much beside an idle connection. */
class NumberTable<T> {
  readonly #numbers: number[] = [];
  readonly #things: (T | undefined)[] = [];
  /** Those whose index the addon has given away before it could tell that they are gone. */
  readonly #displaced = new Map<number, T>();

  get(number: number): T | undefined {
    const index = number & indexMask;
    if (this.#numbers[index] === number) return this.#things[index];
    return this.#displaced.size === 0 ? undefined : this.#displaced.get(number);
  }

  set(number: number, thing: T): void {
    const index = number & indexMask;
    // The addon takes the lowest indices that are free or next, yet tells of them in another order.
    while (this.#numbers.length < index) {
      this.#numbers.push(0);
      this.#things.push(undefined);
    }
    const before = this.#things[index];
    const numberBefore = this.#numbers[index];
    if (before !== undefined && numberBefore !== undefined && numberBefore !== number) {
      this.#displaced.set(numberBefore, before);
    }
    this.#numbers[index] = number;
    this.#things[index] = thing;
  }

  delete(number: number): void {
    const index = number & indexMask;
    if (this.#numbers[index] === number) this.#things[index] = undefined;
    else this.#displaced.delete(number);
  }
}

/** What happens to a raw stream. A handler's throw surfaces as an uncaught exception. */
export interface RawEvents {
  /** Bytes came; they are gone when the call returns, unless they are `owned` by the receiver. */
  onData(bytes: Buffer, start: number, end: number, owned: boolean): void;
  /** Something is there for `readRaw`, once `announceRaw` was called. */
  onReadable(): void;
  /** Nothing more comes: 0 is the other side's end, else a result. */
  onEnd(result: number): void;
  /** What was left under `token` is done: 0, or a result when it never will be. */
  onDone(token: number, result: number): void;
}

/** What `writeRawCopy` takes, in bytes. */
export const rawCopyBytesMax: number = 64 * 1024;

/** What a receive into the inbox brings at most: `kReceiveBytesMax` of native/memory/pool_budget.h. */
const receiveBytesMax = 64 * 1024;
/** A receive of bulk brings at most this. */
const lentBytes = 256 * 1024;
/** Bytes of bulk that are fewer are copied, for they would keep all of that memory. */
const ownedBytesMin = lentBytes / 2;

/** Bytes, or a text in its encoding. */
export interface Chunk {
  readonly chunk: string | Uint8Array;
  readonly encoding: BufferEncoding;
}

/**
 * Where the binding of a thread keeps its core. Not in a variable of this module, which a thread may have twice: as it is, and in the file
 * that the thread started with (rolldown.config.js).
 */
const coreKey: unique symbol = Symbol.for('paipainet.core');

/**
 * The core of this thread. Its first use decides what serves its sockets: io_uring when that is asked for.
 * @throws PaipaiError PAIPAI_ERR_ENGINE_UNAVAILABLE when `io`, or with 'auto' PAIPAINET_IO, names something else than what serves them
 */
export function nativeCoreOf(binding: NativeBinding, io: IoChoice = 'auto'): NativeCore {
  const wish = ioWish(io);
  const holder: NativeBinding & { [coreKey]?: NativeCore } = binding;
  holder[coreKey] ??= new NativeCore(binding, wish);
  const core = holder[coreKey];
  const { driver, reason } = core.io;
  if (wish.driver === undefined || wish.driver === driver) return core;
  const message = `${wish.asker} asks for ${ioNames[wish.driver]}, but the sockets of this thread are on ${ioNames[driver]}: ${reason}`;
  throw new PaipaiError('PAIPAI_ERR_ENGINE_UNAVAILABLE', message);
}

/**
 * The addon's sockets for this thread: hands batches out to connections, and puts frames into the outbox. Nothing is sent by a
 * call: the addon empties the outbox before libuv waits, and after each batch.
 */
export class NativeCore {
  readonly io: IoInUse;
  readonly #binding: NativeBinding;
  readonly #inbox: Uint8Array;
  readonly #inboxView: DataView;
  readonly #descriptors: Uint32Array;
  readonly #results: Int32Array;
  readonly #outbox: Outbox;
  readonly #control: Uint32Array;
  readonly #headerView = new DataView(new ArrayBuffer(headerBytes));
  readonly #headerOut = new Uint8Array(this.#headerView.buffer);
  readonly #connections = new NumberTable<ConnectionEvents>();
  readonly #afterBatch: (() => void)[] = [];
  readonly #listeners = new Map<number, ListenerEvents>();
  readonly #frame: NativeFrame;
  readonly #raws = new NumberTable<RawEvents>();
  /** What bulk is received into next; none before there is bulk. */
  #lent: Buffer | undefined;
  /** Where text is encoded to be sent. */
  readonly #outboxBytes: Buffer;
  readonly #inboxBytes: Buffer;

  constructor(binding: NativeBinding, { driver, asker }: IoWish) {
    this.#binding = binding;
    const memory = binding.open((count, large) => this.#onBatch(count, large), driver === 'uring');
    const byDefault = driver === undefined ? 'nobody asked for io_uring' : `${asker} asks for it`;
    this.io = { driver: memory.io, reason: memory.ioReason === '' ? byDefault : memory.ioReason };
    this.#inbox = new Uint8Array(memory.inbox);
    this.#inboxView = new DataView(memory.inbox);
    this.#descriptors = new Uint32Array(memory.descriptors);
    this.#results = new Int32Array(memory.descriptors);
    this.#control = new Uint32Array(memory.control);
    this.#outbox = new Outbox(memory.outbox, this.#inbox, this.#control, () => binding.flush());
    this.#outboxBytes = Buffer.from(memory.outbox);
    this.#inboxBytes = Buffer.from(memory.inbox);
    this.#frame = {
      type: 0,
      flags: 0,
      name: 0,
      streamId: 0,
      argument: 0,
      bytes: this.#inbox,
      start: 0,
      end: 0,
      owned: false,
    };
  }

  /** Throws the system's error when it refuses at once; else `onConnected` or `onClosed` follows. */
  connect(
    host: string,
    port: number,
    frameBytesMax: number,
    address: string,
    events: ConnectionEvents,
  ): number {
    const result = this.#binding.connect(host, port, frameBytesMax);
    if (result < 0) throw systemOrOwn(result, `connect to ${address}`, 'connect', address);
    this.#connections.set(result, events);
    return result;
  }

  /** Throws the system's error (EADDRINUSE …). */
  listen(
    host: string,
    port: number,
    frameBytesMax: number,
    address: string,
    events: ListenerEvents,
  ): number {
    const result = this.#binding.listen(host, port, frameBytesMax, backlog);
    if (result < 0) throw systemOrOwn(result, `listen on ${address}`, 'listen', address);
    this.#listeners.set(result, events);
    return result;
  }

  /** Says who gets the events of an accepted connection. */
  attach(connection: number, events: ConnectionEvents): void {
    this.#connections.set(connection, events);
  }

  listenerAddress(listener: number): string {
    return this.#binding.listenerAddress(listener) ?? '';
  }

  remoteAddress(connection: number): string {
    return this.#binding.remoteAddress(connection) ?? '';
  }

  /**
   * Queues a frame, its payload (`bytes` from `start` to `end`) copied into the outbox, which it must fit. Returns how many bytes of it are
   * there; what was there before may have left.
   */
  send(
    connection: number,
    type: number,
    flags: number,
    name: number,
    streamId: number,
    argument: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): number {
    return this.#outbox.add(connection, type, flags, name, streamId, argument, bytes, start, end);
  }

  /** Queues messages of `payloadBytes` each. Returns how many bytes of them are in the outbox; what was there before may have left. */
  sendMany(connection: number, name: number, payloads: Uint8Array, payloadBytes: number): number {
    this.#outbox.forgetLast();
    return this.#binding.sendMany(connection, name, payloads, payloadBytes);
  }

  /** Queues a frame whose payload is referenced until `onSent(token)`. */
  sendLarge(
    connection: number,
    type: number,
    flags: number,
    name: number,
    streamId: number,
    argument: number,
    payload: Uint8Array,
    token: number,
  ): void {
    const header = this.#header(connection, type, flags, name, streamId, argument, payload.length);
    this.#binding.sendLarge(connection, header, payload, token);
  }

  sendBulk(connection: number, streamId: number, bytes: Uint8Array, token: number): void {
    this.#binding.sendBulk(connection, streamId, bytes, token);
  }

  /** Queues a frame in the bulk lane, whose payload is referenced until `onSent(token)`. */
  sendBulkFrame(
    connection: number,
    type: number,
    name: number,
    payload: Uint8Array,
    token: number,
  ): void {
    const header = this.#header(connection, type, 0, name, 0, 0, payload.length);
    this.#binding.sendBulkFrame(connection, header, payload, token);
  }

  /** False when the stream has a sink. A connection that is gone takes none, and its end is about to be told. */
  setSink(connection: number, streamId: number, target: Uint8Array): boolean {
    return this.#binding.setSink(connection, streamId, target) !== hasSinkResult;
  }

  clearSink(connection: number, streamId: number): void {
    this.#binding.clearSink(connection, streamId);
  }

  /** Takes the memory of a large payload back. Views of it that somebody has kept are empty from here on. */
  reuse({ buffer }: Uint8Array): void {
    const memory = buffer instanceof ArrayBuffer ? takenFrom(buffer) : null;
    if (memory !== null) this.#binding.reuse(memory);
  }

  limitReceived(connection: number, frameBytesMax: number): void {
    this.#binding.limitReceived(connection, frameBytesMax);
  }

  queuedBytes(connection: number): number {
    // Mostly nothing is queued anywhere, and that is seen without a call.
    return this.#control[3] === 0 ? 0 : this.#binding.queuedBytes(connection);
  }

  /** Calls back once, behind all events of this batch and while its bytes are there; in any order. */
  afterBatch(callback: () => void): void {
    this.#afterBatch.push(callback);
  }

  flush(): void {
    this.#binding.flush();
  }

  /** Changes whenever the outbox is emptied: what was put there before is then counted by `queuedBytes`. */
  get outboxTurn(): number {
    return this.#control[1]!;
  }

  /** Whether frames wait in the outbox; it is emptied before the loop waits, so while `outboxTurn` stays this is still the same turn. */
  get isOutboxInUse(): boolean {
    return this.#control[0]! > 0;
  }

  pause(connection: number): void {
    this.#binding.pause(connection);
  }

  resume(connection: number): void {
    this.#binding.resume(connection);
  }

  shutdown(connection: number): void {
    this.#binding.shutdown(connection);
  }

  /** Ends at once; no event follows. */
  close(connection: number): void {
    this.#connections.delete(connection);
    this.#binding.closeConnection(connection);
  }

  closeListener(listener: number): void {
    this.#listeners.delete(listener);
    this.#binding.closeListener(listener);
  }

  resumeListener(listener: number): void {
    this.#binding.resumeListener(listener);
  }

  setConnectionKeepsAlive(connection: number, keepsAlive: boolean): void {
    this.#binding.setConnectionKeepsAlive(connection, keepsAlive);
  }

  setTcpOptions(connection: number, noDelay: boolean, keepAliveMs: number): void {
    this.#binding.setTcpOptions(connection, noDelay, keepAliveMs);
  }

  setListenerKeepsAlive(listener: number, keepsAlive: boolean): void {
    this.#binding.setListenerKeepsAlive(listener, keepsAlive);
  }

  setConnectionSpin(connection: number, microseconds: number): void {
    this.#binding.setConnectionSpin(connection, microseconds);
  }

  setListenerSpin(listener: number, microseconds: number): void {
    this.#binding.setListenerSpin(listener, microseconds);
  }

  /** @returns a result, as all of these; `closeDoor` returns nothing */
  openDoor(connection: number, name: string): number {
    return this.#binding.openDoor(connection, name);
  }

  enterDoor(connection: number, name: string, token: Uint8Array): number {
    return this.#binding.enterDoor(connection, name, token);
  }

  takeFromDoor(connection: number, token: Uint8Array): number {
    return this.#binding.takeFromDoor(connection, token);
  }

  closeDoor(connection: number): void {
    this.#binding.closeDoor(connection);
  }

  /** A raw stream over a copy of a connected descriptor, or a result below 0. Its events come after `resumeRaw`. */
  adoptRaw(fd: number, events: RawEvents): number {
    const raw = this.#binding.rawAdopt(fd);
    if (raw > 0) this.#raws.set(raw, events);
    return raw;
  }

  /** A copy of its descriptor, which is the caller's to close, or a result below 0. */
  copyRawDescriptor(raw: number): number {
    return this.#binding.rawCopyDescriptor(raw);
  }

  /** 0: all is with the kernel; 1: `onDone(token)` follows, and `bytes` is to be left alone until then; below 0: a result. */
  writeRaw(raw: number, bytes: Uint8Array, token: number): number {
    return this.#binding.rawWrite(raw, bytes, token);
  }

  /** The same for several; all of them, and the array, are to be left alone. */
  writeRawAll(raw: number, pieces: readonly Uint8Array[], token: number): number {
    return this.#binding.rawWriteAll(raw, pieces, token);
  }

  /** The same for a text of at most `bytesMax` bytes, which is copied; `bytesMax` may be up to `rawCopyBytesMax`. */
  writeRawText(
    raw: number,
    text: string,
    encoding: BufferEncoding,
    bytesMax: number,
    token: number,
  ): number {
    const offset = this.#stage(bytesMax);
    const bytes = this.#outboxBytes.write(text, offset, encoding);
    return this.#binding.rawWriteOutbox(raw, offset, bytes, token);
  }

  /** The same for several chunks of at most `bytesMax` bytes together. */
  writeRawCopy(raw: number, chunks: readonly Chunk[], bytesMax: number, token: number): number {
    const offset = this.#stage(bytesMax);
    let end = offset;
    for (const { chunk, encoding } of chunks) {
      // Many end with an empty one. What was detached meanwhile is empty too, and cannot be looked at.
      if (chunk.length === 0) continue;
      if (typeof chunk === 'string') {
        end += this.#outboxBytes.write(chunk, end, encoding);
      } else {
        this.#outboxBytes.set(chunk, end);
        end += chunk.length;
      }
    }
    return this.#binding.rawWriteOutbox(raw, offset, end - offset, token);
  }

  shutDownRaw(raw: number, token: number): void {
    this.#binding.rawShutDown(raw, token);
  }

  /** What comes is left where it is, and told by `onReadable`, for `readRaw`. `onEnd(0)` then means: behind what can be read. */
  announceRaw(raw: number): void {
    this.#binding.rawAnnounce(raw);
  }

  /** Reads into `bytes` what is there; the count, 0 at the end, or a result. */
  readRaw(raw: number, bytes: Uint8Array): number {
    return this.#binding.rawRead(raw, bytes);
  }

  resumeRaw(raw: number): void {
    this.#binding.rawResume(raw);
  }

  pauseRaw(raw: number): void {
    this.#binding.rawPause(raw);
  }

  /** No event follows. */
  closeRaw(raw: number, resets: boolean): void {
    this.#raws.delete(raw);
    this.#binding.rawClose(raw, resets);
  }

  /** Hands out what has come for it and waits for its turn in a batch. */
  deliverRaw(raw: number): void {
    const words = this.#descriptors;
    const count = this.#binding.eventCount();
    for (let i = 0; i < count; i++) {
      const at = i * descriptorWords;
      const kind = words[at + 1]! & 0xff;
      if (words[at] === raw && kind >= EventKind.rawData) this.#onRawEvent(kind, raw, at);
    }
  }

  setRawKeepsAlive(raw: number, keepsAlive: boolean): void {
    this.#binding.rawSetKeepsAlive(raw, keepsAlive);
  }

  /** @returns a result, as the next */
  setRawNoDelay(raw: number, noDelay: boolean): number {
    return this.#binding.rawSetNoDelay(raw, noDelay);
  }

  setRawKeepAlive(raw: number, keepAlive: boolean, idleSeconds: number): number {
    return this.#binding.rawSetKeepAlive(raw, keepAlive, idleSeconds);
  }

  /** `tcp://` address; undefined when there is none any more. */
  rawAddress(raw: number, isRemote: boolean): string | undefined {
    return this.#binding.rawAddress(raw, isRemote);
  }

  rawDescriptor(raw: number): number {
    return this.#binding.rawDescriptor(raw);
  }

  rawQueuedBytes(raw: number): number {
    return this.#binding.rawQueuedBytes(raw);
  }

  /**
   * Makes `thrown` an uncaught exception within this call, in the async context of the caller: who listens for those has heard of it when it
   * returns, and where nobody does the process ends.
   */
  throwUncaught(thrown: unknown): void {
    this.#binding.rawThrow(thrown);
  }

  /** Where the outbox has room for `bytes` behind what waits in it. */
  #stage(bytes: number): number {
    if (this.#outboxBytes.length - this.#control[0]! < bytes) this.#binding.flush();
    return this.#control[0]!;
  }

  /** Of the next frame by reference; good until the next call. */
  #header(
    connection: number,
    type: number,
    flags: number,
    name: number,
    streamId: number,
    argument: number,
    payloadBytes: number,
  ): Uint8Array {
    const view = this.#headerView;
    writeHeader(view, 0, connection, type, flags, name, streamId, argument, payloadBytes);
    return this.#headerOut;
  }

  #onBatch(count: number, large: ArrayBuffer[] | undefined): void {
    for (let i = 0; i < count; i++) {
      try {
        this.#onEvent(i * descriptorWords, large);
      } catch (thrown) {
        surface(thrown);
      }
    }
    // One that is added meanwhile is called as well.
    for (let callback = this.#afterBatch.pop(); callback !== undefined; ) {
      try {
        callback();
      } catch (thrown) {
        surface(thrown);
      }
      callback = this.#afterBatch.pop();
    }
  }

  /** The addon has checked that they are whole. */
  #onSeveral(connection: number, events: ConnectionEvents): void {
    const frame = this.#frame;
    if (events.onSeveral(frame)) return;
    const { end, flags, name, argument } = frame;
    const type = oneOf(frame.type);
    for (let at = frame.start; at < end; ) {
      frame.type = type;
      frame.flags = flags;
      frame.name = name;
      frame.argument = argument;
      frame.streamId = this.#inboxView.getUint32(at, true);
      frame.start = at + severalItemBytes;
      frame.end = frame.start + this.#inboxView.getUint32(at + 4, true);
      at = frame.start + padded(frame.end - frame.start);
      try {
        events.onFrame(frame);
      } catch (thrown) {
        surface(thrown);
      }
      // Closed by what it brought.
      if (this.#connections.get(connection) !== events) return;
    }
  }

  #onRawEvent(kind: number, id: number, at: number): void {
    if (id === 0) return; // `deliverRaw` has been here.
    const events = this.#raws.get(id);
    const words = this.#descriptors;
    words[at] = 0;
    if (kind === EventKind.rawData && words[at + 7] === 1) {
      this.#onLentData(events, words[at + 6]!);
      return;
    }
    if (events === undefined) return;
    if (kind === EventKind.rawData) {
      const start = words[at + 5]!;
      const length = words[at + 6]!;
      // More of the kind comes.
      if (length === receiveBytesMax && this.#lent === undefined)
        this.#lend(Buffer.allocUnsafeSlow(lentBytes));
      events.onData(this.#inboxBytes, start, start + length, false);
    } else if (kind === EventKind.rawReadable) {
      events.onReadable();
    } else if (kind === EventKind.rawEnd) {
      events.onEnd(this.#results[at + 7]!);
    } else {
      events.onDone(words[at + 7]!, this.#results[at + 4]!);
    }
  }

  #lend(buffer: Buffer): void {
    this.#lent = buffer;
    this.#binding.rawLend(buffer);
  }

  #onLentData(events: RawEvents | undefined, length: number): void {
    const bytes = this.#lent!;
    const isOwned = length >= ownedBytesMin;
    if (isOwned) this.#lend(Buffer.allocUnsafeSlow(lentBytes));
    try {
      events?.onData(bytes, 0, length, isOwned);
    } finally {
      if (!isOwned) this.#lend(bytes);
    }
  }

  #onEvent(at: number, large: ArrayBuffer[] | undefined): void {
    const words = this.#descriptors;
    const id = words[at]!;
    const packed = words[at + 1]!;
    const kind = packed & 0xff;
    if (kind === EventKind.accepted) {
      const events = this.#listeners.get(id);
      // Nobody listens any more: what came in meanwhile is turned away.
      if (events === undefined) this.#binding.closeConnection(words[at + 7]!);
      else events.onAccepted(words[at + 7]!);
      return;
    }
    if (kind === EventKind.listenerPaused) {
      this.#listeners.get(id)?.onPaused(this.#results[at + 7]!);
      return;
    }
    if (kind >= EventKind.rawData) {
      this.#onRawEvent(kind, id, at);
      return;
    }
    const events = this.#connections.get(id);
    if (events === undefined) return;
    if (kind === EventKind.frame || kind === EventKind.largeFrame) {
      const frame = this.#frame;
      frame.type = (packed >>> 8) & 0xff;
      frame.flags = packed >>> 16;
      frame.name = words[at + 2]!;
      frame.streamId = words[at + 3]!;
      frame.argument = words[at + 4]!;
      const offset = words[at + 5]!;
      const length = words[at + 6]!;
      frame.owned = kind === EventKind.largeFrame;
      frame.bytes = frame.owned ? new Uint8Array(large![offset]!, 0, length) : this.#inbox;
      frame.start = frame.owned ? 0 : offset;
      frame.end = frame.start + length;
      if (frame.type < FrameType.requests) events.onFrame(frame);
      else this.#onSeveral(id, events);
      return;
    }
    switch (kind) {
      case EventKind.sink:
        events.onSink(words[at + 3]!, words[at + 5]!, words[at + 7]!);
        return;
      case EventKind.sent:
        events.onSent(words[at + 7]!, words[at + 4]!);
        return;
      case EventKind.connected:
        events.onConnected();
        return;
      case EventKind.drain:
        events.onDrain();
        return;
      case EventKind.closed:
        this.#connections.delete(id);
        events.onClosed(this.#results[at + 7]!);
        return;
    }
  }
}

/** The memory of `buffer`, which is left without; null when it cannot be taken: it is elsewhere already, or marked as untransferable. */
function takenFrom(buffer: ArrayBuffer & { transfer?(): ArrayBuffer }): ArrayBuffer | null {
  try {
    // Node 20 has no `transfer`; there it takes 1 us.
    return buffer.transfer?.() ?? structuredClone(buffer, { transfer: [buffer] });
  } catch {
    return null;
  }
}

/** One receiver's mistake must not cost the others their events; it surfaces as an uncaught exception all the same. */
function surface(thrown: unknown): void {
  queueMicrotask(() => {
    throw thrown;
  });
}

function systemOrOwn(result: number, tried: string, syscall: string, address: string): Error {
  return result > -10_000
    ? systemError(result, tried, { syscall, address })
    : errorOfResult(result, tried, { address });
}
