import type { Duplex } from 'node:stream';
import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { combineCrc32c } from '../wire/crc32c.js';
import { FrameType, frameHeaderBytes } from '../wire/frame.js';
import { FrameDecoder } from '../wire/frame-decoder.js';
import type { FrameChannel, FrameReceiver, FrameView, OnBulkSent } from './frame-channel.js';
import { FrameGatherer, type GatherBuffers, type GatheredBatch } from './frame-gatherer.js';
import { bulkChunkBytes, checkPayloadBytes, DrainMark, payloadOf } from './limits.js';

/** A socket of `node:net`, or what is like one. */
export interface ByteSocket extends Duplex {
  ref(): unknown;
  unref(): unknown;
}

export interface PortableChannelOptions {
  readonly path: 'tcp' | 'unix' | 'hub';
  readonly remoteAddress: string;
  readonly frameBytesMax: number;
  readonly buffers: GatherBuffers;
  /** As much of the bulk lane is with the socket at once. Default: one chunk. */
  readonly bulkBytesMax?: number;
}

/** From here on gathered frames are written at once instead of at the end of the turn. */
const flushBytes = 64 * 1024;

interface Bulk {
  /** Of each of its frames. */
  readonly type: number;
  readonly name: number;
  readonly streamId: number;
  readonly bytes: Uint8Array;
  readonly chunkBytesMax: number;
  cutBytes: number;
  /** Of what was cut so far. */
  crc32c: number;
  readonly onSent: OnBulkSent;
}

/**
 * Frames over a socket, which was opened with `allowHalfOpen`. The frames of a turn leave in one write, those that come before the system has
 * taken it all in the next. Of the bulk lane one chunk at a time is with the socket (`bulkBytesMax`), or as many short ones as make one, and the
 * next is cut when the system has taken it: that, or one frame of the lane that is not cut, is what an urgent frame waits for.
 */
export class PortableChannel implements FrameChannel {
  readonly engine = 'js';
  readonly path: 'tcp' | 'unix' | 'hub';
  readonly sharedMemory: null = null;
  readonly remoteAddress: string;

  readonly #socket: ByteSocket;
  readonly #frameBytesMax: number;
  readonly #bulkBytesMax: number;
  readonly #decoder: FrameDecoder;
  readonly #gatherer: FrameGatherer;
  readonly #drainMark = new DrainMark();
  #receiver: FrameReceiver | null = null;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #reason: Error | null = null;
  #isReading = false;
  #queuedBytes = 0;
  #flushScheduled = false;
  /** What is still to be cut, in order. */
  #bulks: Bulk[] = [];
  /** Those whose last chunk is with the socket; null: it has nothing of the bulk lane. */
  #leaving: Bulk[] | null = null;

  constructor(socket: ByteSocket, options: PortableChannelOptions) {
    this.#socket = socket;
    this.path = options.path;
    this.remoteAddress = options.remoteAddress;
    this.#frameBytesMax = options.frameBytesMax;
    this.#bulkBytesMax = options.bulkBytesMax ?? bulkChunkBytes;
    this.#gatherer = new FrameGatherer(options.buffers);
    this.#decoder = new FrameDecoder(
      {
        onFrame: (frame: FrameView) => this.#receiver?.onFrame(frame),
        onSink: (streamId, landedBytes, sum) => this.#receiver?.onSink(streamId, landedBytes, sum),
      },
      options.frameBytesMax,
    );
    socket.on('end', () => this.#onEnd());
    socket.on('error', (cause) => this.#onError(cause));
    socket.on('close', () => this.#onClose());
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get receiver(): FrameReceiver | null {
    return this.#receiver;
  }

  set receiver(receiver: FrameReceiver | null) {
    this.#receiver = receiver;
    if (receiver === null || this.#isReading) return;
    // Bytes stay with the socket until there is somebody to take frames.
    this.#isReading = true;
    this.#socket.on('data', (bytes) => this.#onBytes(bytes));
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
    if (this.#state !== 'open') return;
    this.#gatherer.add(type, flags, name, streamId, argument, payload);
    this.#addQueued(frameHeaderBytes + payload.length);
    if (this.#gatherer.byteCount >= flushBytes) this.flush();
    else this.#scheduleFlush();
  }

  sendBulk(streamId: number, bytes: Uint8Array, onSent: OnBulkSent): void {
    if (this.#state !== 'open') {
      process.nextTick(onSent, this.#reason ?? closedError(), 0);
      return;
    }
    if (bytes.length === 0) {
      process.nextTick(onSent, null, 0);
      return;
    }
    const chunkBytesMax = Math.min(bulkChunkBytes, this.#frameBytesMax);
    this.#addBulk(FrameType.streamData, 0, streamId, bytes, chunkBytesMax, onSent);
  }

  sendBulkFrame(type: number, name: number, bytes: Uint8Array, onSent: OnBulkSent): void {
    checkPayloadBytes(bytes.length, this.#frameBytesMax);
    if (this.#state !== 'open') {
      process.nextTick(onSent, this.#reason ?? closedError(), 0);
      return;
    }
    this.#addBulk(type, name, 0, bytes, Infinity, onSent);
  }

  setSink(streamId: number, target: Uint8Array): void {
    this.#decoder.setSink(streamId, target);
  }

  clearSink(streamId: number): void {
    this.#decoder.clearSink(streamId);
  }

  limitReceived(frameBytesMax: number): void {
    this.#decoder.limitFrames(Math.min(frameBytesMax, this.#frameBytesMax));
  }

  flush(): void {
    // What the system does not take yet goes on gathering: each write that waits would hold a buffer of its own, however little is in it.
    if (this.#state === 'closed' || this.#socket.writableLength > 0) return;
    const leaving = this.#gatherBulk();
    const batch = this.#gatherer.take();
    if (batch !== null) this.#write(batch, leaving);
    if (this.#state === 'closing' && this.#bulks.length === 0) this.#socket.end();
  }

  pause(): void {
    if (this.#state === 'open') this.#socket.pause();
  }

  resume(): void {
    // Without a receiver the bytes would flow into nothing.
    if (this.#isReading) this.#socket.resume();
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#socket.resume(); // Reading or not, the end of the other side must be noticed.
    this.flush();
  }

  destroy(error?: Error): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#reason = error ?? this.#reason;
    this.#decoder.stop();
    this.#socket.destroy();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  #addBulk(
    type: number,
    name: number,
    streamId: number,
    bytes: Uint8Array,
    chunkBytesMax: number,
    onSent: OnBulkSent,
  ): void {
    this.#bulks.push({
      type,
      name,
      streamId,
      bytes,
      chunkBytesMax,
      cutBytes: 0,
      crc32c: 0,
      onSent,
    });
    const frames = Math.max(1, Math.ceil(bytes.length / chunkBytesMax));
    this.#addQueued(bytes.length + frameHeaderBytes * frames);
    this.#scheduleFlush();
  }

  #addQueued(byteCount: number): void {
    this.#queuedBytes += byteCount;
    this.#drainMark.raised(this.#queuedBytes);
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  /** Gathers chunks of the bulk lane behind the urgent frames, unless the socket still has some. Returns what becomes `#leaving`. */
  #gatherBulk(): Bulk[] | null {
    if (this.#leaving !== null || this.#bulks.length === 0) return null;
    const leaving: Bulk[] = [];
    this.#leaving = leaving;
    let room = this.#bulkBytesMax;
    for (let bulk = this.#bulks[0]; bulk !== undefined; bulk = this.#bulks[0]) {
      const start = bulk.cutBytes;
      const end = Math.min(bulk.bytes.length, start + bulk.chunkBytesMax);
      if (room < this.#bulkBytesMax && end - start > room) break;
      const chunk = bulk.bytes.subarray(start, end);
      const sum = this.#gatherer.add(bulk.type, 0, bulk.name, bulk.streamId, 0, chunk);
      bulk.crc32c = combineCrc32c(bulk.crc32c, sum, chunk.length);
      bulk.cutBytes = end;
      if (end === bulk.bytes.length) {
        this.#bulks.shift();
        leaving.push(bulk);
      }
      room -= frameHeaderBytes + chunk.length;
    }
    return leaving;
  }

  #write(batch: GatheredBatch, leaving: Bulk[] | null): void {
    const { segments } = batch;
    const last = segments.length - 1;
    const onTaken = (error?: Error | null): void => {
      // After a failure the socket closes, and `#onClose` settles everything.
      if (error == null) this.#onTaken(batch, leaving);
    };
    if (last === 0) {
      this.#socket.write(segments[0]!, onTaken);
      return;
    }
    this.#socket.cork();
    for (let i = 0; i < last; i++) this.#socket.write(segments[i]!);
    this.#socket.write(segments[last]!, onTaken);
    this.#socket.uncork();
  }

  #onTaken(batch: GatheredBatch, leaving: Bulk[] | null): void {
    this.#gatherer.release(batch);
    if (this.#isClosed()) return;
    this.#queuedBytes -= batch.byteCount;
    if (leaving !== null) this.#leaving = null;
    for (const bulk of leaving ?? []) bulk.onSent(null, bulk.crc32c);
    if (this.#drainMark.lowered(this.#queuedBytes) && !this.#isClosed()) this.#receiver?.onDrain();
    // Not at once: a reader as fast as we are would keep the loop from everything else.
    if (this.#bulks.length > 0) setImmediate(() => this.flush());
    const isLast = this.#state === 'closing' && this.#bulks.length === 0;
    if (this.#gatherer.byteCount > 0 || isLast) this.flush();
  }

  /** The state as it is after callbacks, which may have changed it. */
  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #onBytes(bytes: Uint8Array): void {
    const error = this.#decoder.push(bytes);
    if (error !== null) this.destroy(error);
  }

  #onEnd(): void {
    const error = this.#decoder.end();
    if (error !== null) this.destroy(error);
    else this.close();
  }

  #onError(cause: Error): void {
    if (isPaipaiError(cause)) this.#reason ??= cause;
    this.#reason ??= new PaipaiError(
      'PAIPAI_ERR_PEER_CLOSED',
      `the connection with ${this.remoteAddress} broke: ${cause.message}`,
      { cause, address: this.remoteAddress },
    );
  }

  #onClose(): void {
    const reason = this.#reason;
    const bulks = [...(this.#leaving ?? []), ...this.#bulks];
    this.#state = 'closed';
    this.#leaving = null;
    this.#bulks = [];
    this.#queuedBytes = 0;
    this.#decoder.stop();
    for (const bulk of bulks) bulk.onSent(reason ?? closedError(), 0);
    this.#receiver?.onClose(reason);
  }
}

function closedError(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_CLOSED', 'the channel is closed');
}
