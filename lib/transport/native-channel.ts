import { errorOfResult, PaipaiError } from '../base/errors.js';
import type { ConnectionEvents, NativeCore, NativeFrame } from '../native/handles.js';
import type {
  ChannelPath,
  FrameChannel,
  FrameReceiver,
  OnBulkSent,
  PathChoice,
} from './frame-channel.js';
import { hostIdOf } from './host-id.js';
import { checkPayloadBytes, copyBytesMax, queueBytesHigh } from './limits.js';
import { NativeSharedMemory } from './native-shared-memory.js';

const noBytes = new Uint8Array(0);

/** What all channels of a listener have in common. */
export interface NativeChannelSetting {
  readonly core: NativeCore;
  /** What their sockets are. */
  readonly socket: 'tcp' | 'unix';
  readonly frameBytesMax: number;
  readonly path: PathChoice;
}

/** Who waits for bytes by reference to be with the system, by token. */
class Sending {
  readonly #waiting = new Map<number, OnBulkSent | null>();
  #nextToken = 1;

  add(onSent: OnBulkSent | null): number {
    const token = this.#nextToken;
    this.#nextToken = (token % 0x3fff_ffff) + 1;
    this.#waiting.set(token, onSent);
    return token;
  }

  take(token: number): OnBulkSent | null | undefined {
    const onSent = this.#waiting.get(token);
    this.#waiting.delete(token);
    return onSent;
  }

  takeAll(): (OnBulkSent | null)[] {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    return all;
  }
}

/** Frames over a connection of the addon, which cuts, checks, gathers and lands them; here is only who wants to know. */
export class NativeChannel implements FrameChannel, ConnectionEvents {
  readonly remoteAddress: string;
  path: ChannelPath;
  readonly #setting: NativeChannelSetting;
  readonly #connection: number;
  #receiver: FrameReceiver | null = null;
  #state: 'open' | 'closing' | 'closed' = 'open';
  /** Made when first needed. */
  #sending: Sending | null = null;
  #outboxTurn = 0;
  #outboxBytes = 0;
  /** What the addon said of its queue, and the turn of the outbox for which that stands; -1 is none. */
  #queuedBytes = 0;
  #queuedTurn = -1;

  constructor(setting: NativeChannelSetting, connection: number, remoteAddress: string) {
    this.#setting = setting;
    this.#connection = connection;
    this.path = setting.socket;
    this.remoteAddress = remoteAddress;
  }

  get engine(): 'native' {
    return 'native';
  }

  get sharedMemory(): NativeSharedMemory | null {
    const { core, path } = this.#setting;
    const hostId = path === 'auto' ? hostIdOf() : null;
    if (hostId === null) return null;
    return new NativeSharedMemory(core, this.#connection, hostId, () => {
      this.path = 'shm';
    });
  }

  get queuedBytes(): number {
    if (this.#state === 'closed') return 0;
    const core = this.#setting.core;
    const turn = core.outboxTurn;
    const inOutbox = turn === this.#outboxTurn ? this.#outboxBytes : 0;
    return inOutbox + (turn === this.#queuedTurn ? this.#queuedBytes : this.#askQueuedBytes(turn));
  }

  get receiver(): FrameReceiver | null {
    return this.#receiver;
  }

  set receiver(receiver: FrameReceiver | null) {
    const isFirst = this.#receiver === null && receiver !== null;
    this.#receiver = receiver;
    if (isFirst && this.#state !== 'closed') this.#setting.core.resume(this.#connection);
  }

  send(
    type: number,
    flags: number,
    name: number,
    streamId: number,
    argument: number,
    bytes: Uint8Array = noBytes,
    start = 0,
    end: number = bytes.length,
  ): void {
    const payloadBytes = end - start;
    checkPayloadBytes(payloadBytes, this.#setting.frameBytesMax);
    if (this.#state !== 'open') return;
    if (payloadBytes > copyBytesMax) {
      const payload = payloadBytes === bytes.length ? bytes : bytes.subarray(start, end);
      this.#sendLarge(type, flags, name, streamId, argument, payload, null);
      return;
    }
    const { core } = this.#setting;
    this.#noteInOutbox(
      core.send(this.#connection, type, flags, name, streamId, argument, bytes, start, end),
    );
  }

  sendByReference(
    type: number,
    name: number,
    streamId: number,
    argument: number,
    bytes: Uint8Array,
    onSent: OnBulkSent,
  ): void {
    checkPayloadBytes(bytes.length, this.#setting.frameBytesMax);
    if (this.#state !== 'open') {
      process.nextTick(onSent, closedError(), 0);
      return;
    }
    this.#sendLarge(type, 0, name, streamId, argument, bytes, onSent);
  }

  reuse(bytes: Uint8Array): void {
    this.#setting.core.reuse(bytes);
  }

  sendMany(name: number, payloads: Uint8Array, payloadBytes: number): void {
    if (this.#state !== 'open') return;
    this.#noteInOutbox(this.#setting.core.sendMany(this.#connection, name, payloads, payloadBytes));
  }

  sendBulk(streamId: number, bytes: Uint8Array, onSent: OnBulkSent): void {
    if (this.#state !== 'open') {
      process.nextTick(onSent, closedError(), 0);
    } else if (bytes.length === 0) {
      process.nextTick(onSent, null, 0);
    } else {
      this.#queuedTurn = -1;
      this.#setting.core.sendBulk(this.#connection, streamId, bytes, this.#hold(onSent));
    }
  }

  sendBulkFrame(type: number, name: number, bytes: Uint8Array, onSent: OnBulkSent): void {
    checkPayloadBytes(bytes.length, this.#setting.frameBytesMax);
    if (this.#state !== 'open') {
      process.nextTick(onSent, closedError(), 0);
      return;
    }
    this.#queuedTurn = -1;
    const { core } = this.#setting;
    core.sendBulkFrame(this.#connection, type, name, bytes, this.#hold(onSent));
  }

  setSink(streamId: number, target: Uint8Array): void {
    if (this.#state === 'closed' || this.#setting.core.setSink(this.#connection, streamId, target))
      return;
    throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', `stream ${streamId} has a sink already`);
  }

  clearSink(streamId: number): void {
    if (this.#state !== 'closed') this.#setting.core.clearSink(this.#connection, streamId);
  }

  limitReceived(frameBytesMax: number): void {
    if (this.#state === 'closed') return;
    this.#setting.core.limitReceived(
      this.#connection,
      Math.min(frameBytesMax, this.#setting.frameBytesMax),
    );
  }

  afterBatch(callback: () => void): void {
    this.#setting.core.afterBatch(callback);
  }

  flush(): void {
    this.#setting.core.flush();
  }

  pause(): void {
    if (this.#state === 'open') this.#setting.core.pause(this.#connection);
  }

  resume(): void {
    if (this.#state === 'open') this.#setting.core.resume(this.#connection);
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#setting.core.shutdown(this.#connection);
  }

  destroy(error?: Error): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#setting.core.close(this.#connection);
    setImmediate(() => this.#finish(error ?? null));
  }

  ref(): void {
    if (this.#state !== 'closed')
      this.#setting.core.setConnectionKeepsAlive(this.#connection, true);
  }

  unref(): void {
    if (this.#state !== 'closed')
      this.#setting.core.setConnectionKeepsAlive(this.#connection, false);
  }

  // What the core tells.

  onConnected(): void {
    // Channels are made when their connection stands.
  }

  onFrame(frame: NativeFrame): void {
    if (this.#state !== 'closed') this.#receiver?.onFrame(frame);
  }

  onSeveral(frame: NativeFrame): boolean {
    return this.#state === 'closed' || (this.#receiver?.onSeveral?.(frame) ?? false);
  }

  onSink(streamId: number, landedBytes: number, crc32c: number): void {
    if (this.#state !== 'closed') this.#receiver?.onSink(streamId, landedBytes, crc32c);
  }

  onSent(token: number, crc32c: number): void {
    this.#sending?.take(token)?.(null, crc32c);
  }

  onDrain(): void {
    if (this.#state === 'closed') return;
    // An inbox that ran full is delivered before the loop has gone round: what was asked in it may be too high by now.
    this.#queuedTurn = -1;
    // More may have been queued since the addon saw it empty; then another drain comes.
    if (this.queuedBytes <= queueBytesHigh) this.#receiver?.onDrain();
  }

  onClosed(result: number): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#finish(result === 0 ? null : this.#errorOf(result));
  }

  #noteInOutbox(bytes: number): void {
    const turn = this.#setting.core.outboxTurn;
    if (turn !== this.#outboxTurn) {
      this.#outboxTurn = turn;
      this.#outboxBytes = 0;
    }
    this.#outboxBytes += bytes;
  }

  /**
   * Asks the addon, and keeps the answer where it cannot rise before the outbox is emptied, which happens in this turn of the
   * loop when something is in it: an empty queue grows only from there, and any other is at most that long for the rest of the
   * turn. What goes by reference makes it ask again.
   */
  #askQueuedBytes(turn: number): number {
    const queuedBytes = this.#setting.core.queuedBytes(this.#connection);
    if (queuedBytes === 0 || this.#setting.core.isOutboxInUse) {
      this.#queuedBytes = queuedBytes;
      this.#queuedTurn = turn;
    }
    return queuedBytes;
  }

  #sendLarge(
    type: number,
    flags: number,
    name: number,
    streamId: number,
    argument: number,
    payload: Uint8Array,
    onSent: OnBulkSent | null,
  ): void {
    this.#queuedTurn = -1;
    const { core } = this.#setting;
    const token = this.#hold(onSent);
    core.sendLarge(this.#connection, type, flags, name, streamId, argument, payload, token);
  }

  #hold(onSent: OnBulkSent | null): number {
    this.#sending ??= new Sending();
    return this.#sending.add(onSent);
  }

  #finish(error: Error | null): void {
    for (const onSent of this.#sending?.takeAll() ?? []) onSent?.(error ?? closedError(), 0);
    this.#receiver?.onClose(error);
  }

  #errorOf(result: number): Error {
    const details = { address: this.remoteAddress };
    const cause = errorOfResult(result, `the connection with ${this.remoteAddress} broke`, details);
    if (cause instanceof PaipaiError) return cause;
    return new PaipaiError('PAIPAI_ERR_PEER_CLOSED', cause.message, { ...details, cause });
  }
}

function closedError(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_CLOSED', 'the channel is closed');
}
