import type { Random, Timers } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import { crc32c } from '../wire/crc32c.js';
import { frameHeaderBytes } from '../wire/frame.js';
import type {
  ChannelPath,
  EngineName,
  FrameChannel,
  FrameReceiver,
  OnBulkSent,
} from './frame-channel.js';
import { bulkChunkBytes, checkPayloadBytes, frameBytesMaxOf, payloadOf } from './limits.js';

/** What goes wrong with the frames that are sent. Chances are from 0 to 1; what is not given does not happen. */
export interface Faults {
  readonly random: Random;
  readonly timers: Timers;
  readonly lossChance?: number;
  readonly duplicateChance?: number;
  /** Each frame waits up to this long; their order stays. */
  readonly delayMsMax?: number;
  /** The connection breaks instead of sending one frame more than this … */
  readonly cutAfterFrames?: number;
  /** … or a frame that would go beyond so many bytes, headers included. */
  readonly cutAfterBytes?: number;
  /** Limit of the channel inside. */
  readonly frameBytesMax?: number;
}

interface Step {
  ready: boolean;
  readonly byteCount: number;
  readonly run: () => void;
  readonly drop: (reason: Error) => void;
}

/**
 * Wraps a channel and spoils what is sent through it, for tests and simulations; the same random numbers spoil the same frames.
 * The channel inside numbers what is left, so nothing but the missing answer tells the other side. Bulk is spoilt in chunks.
 */
export class FaultyChannel implements FrameChannel {
  readonly #inner: FrameChannel;
  readonly #faults: Faults;
  readonly #frameBytesMax: number;
  #receiver: FrameReceiver | null = null;
  #isOpen = true;
  #frameCount = 0;
  #byteCount = 0;
  #held: Step[] = [];
  #heldBytes = 0;

  constructor(inner: FrameChannel, faults: Faults) {
    this.#inner = inner;
    this.#faults = faults;
    const { frameBytesMax } = faults;
    this.#frameBytesMax = frameBytesMaxOf(frameBytesMax === undefined ? {} : { frameBytesMax });
  }

  get engine(): EngineName | 'memory' {
    return this.#inner.engine;
  }

  get path(): ChannelPath {
    return this.#inner.path;
  }

  /** Faults are spoilt frames of the socket. */
  get sharedMemory(): null {
    return null;
  }

  get remoteAddress(): string {
    return this.#inner.remoteAddress;
  }

  get queuedBytes(): number {
    return this.#heldBytes + this.#inner.queuedBytes;
  }

  get receiver(): FrameReceiver | null {
    return this.#receiver;
  }

  set receiver(receiver: FrameReceiver | null) {
    this.#receiver = receiver;
    this.#inner.receiver = receiver && {
      onFrame: (frame) => receiver.onFrame(frame),
      onSink: (streamId, landedBytes, sum) => receiver.onSink(streamId, landedBytes, sum),
      onDrain: () => receiver.onDrain(),
      onClose: (error) => {
        this.#dropHeld(error);
        receiver.onClose(error);
      },
    };
  }

  send(
    type: number,
    flags: number,
    name: number,
    streamId: number,
    argument: number,
    bytes?: Uint8Array,
    start?: number,
    end?: number,
  ): void {
    const payload = payloadOf(bytes, start, end);
    checkPayloadBytes(payload.length, this.#frameBytesMax);
    if (!this.#isOpen) return;
    const copy = new Uint8Array(payload); // The caller may use its own again while this one waits.
    this.#spoil(
      payload.length,
      () => this.#inner.send(type, flags, name, streamId, argument, copy),
      () => {},
      () => {},
    );
  }

  sendBulk(streamId: number, bytes: Uint8Array, onSent: OnBulkSent): void {
    if (!this.#isOpen || bytes.length === 0) return this.#inner.sendBulk(streamId, bytes, onSent);
    let waiting = Math.ceil(bytes.length / bulkChunkBytes);
    let failure: Error | null = null;
    const onChunk = (error: Error | null): void => {
      failure ??= error;
      // What the sender meant to send, whatever was lost of it.
      if (--waiting === 0) onSent(failure, failure === null ? crc32c(bytes) : 0);
    };
    // Never before this call has returned.
    const later = (error: Error | null): void => {
      this.#faults.timers.after(0, () => onChunk(error));
    };
    for (let at = 0; at < bytes.length; at += bulkChunkBytes) {
      const chunk = bytes.subarray(at, at + bulkChunkBytes);
      this.#spoil(
        chunk.length,
        (last) => this.#inner.sendBulk(streamId, chunk, last ? onChunk : () => {}),
        () => later(null),
        later,
      );
    }
  }

  sendBulkFrame(type: number, name: number, bytes: Uint8Array, onSent: OnBulkSent): void {
    checkPayloadBytes(bytes.length, this.#frameBytesMax);
    if (!this.#isOpen) return this.#inner.sendBulkFrame(type, name, bytes, onSent);
    const later = (error: Error | null): void => {
      this.#faults.timers.after(0, () => onSent(error, error === null ? crc32c(bytes) : 0));
    };
    this.#spoil(
      bytes.length,
      (last) => this.#inner.sendBulkFrame(type, name, bytes, last ? onSent : () => {}),
      () => later(null),
      later,
    );
  }

  setSink(streamId: number, target: Uint8Array): void {
    this.#inner.setSink(streamId, target);
  }

  clearSink(streamId: number): void {
    this.#inner.clearSink(streamId);
  }

  limitReceived(frameBytesMax: number): void {
    this.#inner.limitReceived(frameBytesMax);
  }

  flush(): void {
    this.#inner.flush();
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#hold({ ready: true, byteCount: 0, run: () => this.#inner.close(), drop: () => {} });
  }

  destroy(error?: Error): void {
    this.#isOpen = false;
    this.#inner.destroy(error);
  }

  ref(): void {
    this.#inner.ref();
  }

  unref(): void {
    this.#inner.unref();
  }

  /** Decides what becomes of one frame: sent as often as chance has it, after a delay, or never. */
  #spoil(
    payloadBytes: number,
    send: (last: boolean) => void,
    onLost: () => void,
    drop: (reason: Error) => void,
  ): void {
    const { random, timers, lossChance = 0, duplicateChance = 0, delayMsMax = 0 } = this.#faults;
    const byteCount = frameHeaderBytes + payloadBytes;
    const isLost = random.next() < lossChance;
    const isDouble = random.next() < duplicateChance;
    const delayMs = random.next() * delayMsMax;
    const run = (): void => {
      if (this.#isCut(byteCount)) return this.#cut(drop);
      if (isLost) return onLost();
      send(!isDouble);
      if (isDouble) send(true);
    };
    const step: Step = { ready: delayMs === 0, byteCount, run, drop };
    this.#hold(step);
    if (step.ready) return;
    timers.after(delayMs, () => {
      step.ready = true;
      this.#runReady();
    });
  }

  #isCut(byteCount: number): boolean {
    const { cutAfterFrames = Infinity, cutAfterBytes = Infinity } = this.#faults;
    this.#frameCount++;
    this.#byteCount += byteCount;
    return this.#frameCount > cutAfterFrames || this.#byteCount > cutAfterBytes;
  }

  #cut(drop: (reason: Error) => void): void {
    const reason = new PaipaiError('PAIPAI_ERR_PEER_CLOSED', 'the connection was cut on purpose');
    this.destroy(reason);
    drop(reason);
  }

  #hold(step: Step): void {
    this.#held.push(step);
    this.#heldBytes += step.byteCount;
    this.#runReady();
  }

  #runReady(): void {
    while (this.#held[0]?.ready) {
      const step = this.#held.shift()!; // Just looked at.
      this.#heldBytes -= step.byteCount;
      step.run();
    }
  }

  #dropHeld(error: Error | null): void {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    const reason = error ?? new PaipaiError('PAIPAI_ERR_CLOSED', 'the channel is closed');
    for (const step of held) step.drop(reason);
  }
}
