import { PaipaiError } from '../base/errors.js';
import { crc32c } from '../wire/crc32c.js';
import { FrameType, frameHeaderBytes } from '../wire/frame.js';
import { SinkTable } from '../wire/sinks.js';
import type {
  ChannelOptions,
  FrameChannel,
  FrameReceiver,
  FrameView,
  OnBulkSent,
} from './frame-channel.js';
import {
  bulkChunkBytes,
  checkPayloadBytes,
  DrainMark,
  frameBytesMaxOf,
  payloadOf,
} from './limits.js';

/** Calls back in a later turn, in the order of the calls. A simulation brings its own. */
export type Schedule = (callback: () => void) => void;

export interface MemoryChannelOptions {
  /** Default `setImmediate`. */
  schedule?: Schedule;
  first?: ChannelOptions & { remoteAddress?: string };
  second?: ChannelOptions & { remoteAddress?: string };
}

/** Chunks of the bulk lane that one turn delivers, so that frames sent meanwhile overtake the rest. */
const chunksPerTurn = 4;

/**
 * Two ends of a connection inside this process. Frames are delivered in a later turn, in memory of their own; nothing is
 * encoded. What is not delivered counts as queued, so a receiver that pauses holds its sender up. Never keeps the process
 * alive by itself.
 */
export function memoryChannelPair(
  options: MemoryChannelOptions = {},
): [FrameChannel, FrameChannel] {
  const schedule = options.schedule ?? ((callback) => void setImmediate(callback));
  const first = new MemoryChannel(schedule, options.first ?? {});
  const second = new MemoryChannel(schedule, options.second ?? {});
  first.join(second);
  second.join(first);
  return [first, second];
}

interface Bulk {
  readonly bytes: Uint8Array;
  sentBytes: number;
  /** Of STREAM_DATA frames. */
  readonly streamId: number;
  /** The one frame that it is; null: STREAM_DATA. */
  readonly frame: FrameView | null;
  readonly onSent: OnBulkSent;
}

type State = 'open' | 'closing' | 'closed';

class MemoryChannel implements FrameChannel {
  readonly engine = 'memory';
  readonly path = 'memory';
  readonly sharedMemory: null = null;
  readonly remoteAddress: string;

  readonly #schedule: Schedule;
  readonly #frameBytesMax: number;
  #receivedBytesMax: number;
  readonly #drainMark = new DrainMark();
  readonly #sinks: SinkTable;
  #peer!: MemoryChannel; // `join` follows construction at once.
  #receiver: FrameReceiver | null = null;
  #state: State = 'open';
  #paused = false;
  #frames: FrameView[] = [];
  #bulks: Bulk[] = [];
  #queuedBytes = 0;
  #turnScheduled = false;
  #endSent = false;
  #endReceived = false;

  constructor(schedule: Schedule, options: ChannelOptions & { remoteAddress?: string }) {
    this.#schedule = schedule;
    this.#frameBytesMax = frameBytesMaxOf(options);
    this.#receivedBytesMax = this.#frameBytesMax;
    this.remoteAddress = options.remoteAddress ?? 'memory://peer';
    this.#sinks = new SinkTable((streamId, landedBytes, sum) => {
      this.#receiver?.onSink(streamId, landedBytes, sum);
    });
  }

  join(peer: MemoryChannel): void {
    this.#peer = peer;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get receiver(): FrameReceiver | null {
    return this.#receiver;
  }

  set receiver(receiver: FrameReceiver | null) {
    this.#receiver = receiver;
    this.#peer.#wake();
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
    const payload = new Uint8Array(payloadOf(bytes, start, end));
    checkPayloadBytes(payload.length, this.#frameBytesMax);
    if (this.#state !== 'open') return;
    this.#frames.push(ownFrame(type, flags, name, streamId, argument, payload));
    this.#queued(frameHeaderBytes + payload.length);
  }

  sendBulk(streamId: number, bytes: Uint8Array, onSent: OnBulkSent): void {
    if (this.#state !== 'open') {
      this.#schedule(() => onSent(closedError(), 0));
      return;
    }
    this.#bulks.push({ bytes, sentBytes: 0, streamId, frame: null, onSent });
    this.#queued(bytes.length);
  }

  sendBulkFrame(type: number, name: number, bytes: Uint8Array, onSent: OnBulkSent): void {
    checkPayloadBytes(bytes.length, this.#frameBytesMax);
    if (this.#state !== 'open') {
      this.#schedule(() => onSent(closedError(), 0));
      return;
    }
    const frame = ownFrame(type, 0, name, 0, 0, new Uint8Array(bytes));
    this.#bulks.push({ bytes, sentBytes: 0, streamId: 0, frame, onSent });
    this.#queued(frameHeaderBytes + bytes.length);
  }

  setSink(streamId: number, target: Uint8Array): void {
    this.#sinks.set(streamId, target);
  }

  clearSink(streamId: number): void {
    this.#sinks.clear(streamId);
  }

  limitReceived(frameBytesMax: number): void {
    this.#receivedBytesMax = Math.min(frameBytesMax, this.#frameBytesMax);
  }

  flush(): void {
    this.#wake();
  }

  pause(): void {
    this.#paused = this.#state === 'open';
  }

  resume(): void {
    this.#paused = false;
    this.#peer.#wake();
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.resume(); // A paused end would never learn that the other one has ended, too.
    this.#wake();
  }

  destroy(error?: Error): void {
    if (this.#state === 'closed') return;
    this.#end(error ?? null, error ?? closedError());
    const peer = this.#peer;
    this.#schedule(() => {
      if (peer.#state === 'closed') return;
      const reason = new PaipaiError('PAIPAI_ERR_PEER_CLOSED', 'the peer ended the connection');
      peer.#end(peer.#queuedBytes > 0 ? reason : null, reason);
    });
  }

  ref(): void {}

  unref(): void {}

  #queued(byteCount: number): void {
    this.#queuedBytes += byteCount;
    this.#drainMark.raised(this.#queuedBytes);
    this.#wake();
  }

  #wake(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    this.#schedule(() => {
      this.#turnScheduled = false;
      this.#turn();
    });
  }

  /** Delivers what this end has queued to the other one. */
  #turn(): void {
    const peer = this.#peer;
    if (this.#state === 'closed' || peer.#state === 'closed') return;
    // Nobody is left to set a receiver on an end that is closing; what comes there is dropped.
    if (peer.#paused || (peer.#receiver === null && peer.#state === 'open')) return;
    const frames = this.#frames;
    this.#frames = [];
    for (const frame of frames) this.#queuedBytes -= frameHeaderBytes + frame.end;
    for (const frame of frames) peer.#receive(frame);
    // What a delivery sends in the other lane goes before the next chunk.
    const mayGoOn = () => this.#frames.length === 0 && this.#bulks.length > 0;
    for (let chunks = 0; chunks < chunksPerTurn && mayGoOn(); chunks++) this.#sendChunk();
    peer.#sinks.tellAll();
    if (this.#isClosed()) return;
    if (this.#drainMark.lowered(this.#queuedBytes)) this.#receiver?.onDrain();
    if (this.#isClosed()) return;
    if (this.#frames.length > 0 || this.#bulks.length > 0) this.#wake();
    else if (this.#state === 'closing') this.#sendEnd();
  }

  /** The state as it is after callbacks, which may have changed it. */
  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #sendChunk(): void {
    const bulk = this.#bulks[0]!; // The caller has looked.
    const { frame } = bulk;
    const start = bulk.sentBytes;
    const chunkBytes = frame === null ? Math.min(bulkChunkBytes, this.#frameBytesMax) : Infinity;
    const end = Math.min(bulk.bytes.length, start + chunkBytes);
    bulk.sentBytes = end;
    this.#queuedBytes -= end - start;
    if (frame !== null) this.#queuedBytes -= frameHeaderBytes;
    if (frame !== null) this.#peer.#receive(frame);
    else if (end > start) this.#peer.#receiveChunk(bulk.streamId, bulk.bytes.subarray(start, end));
    if (end < bulk.bytes.length || this.#bulks[0] !== bulk) return;
    this.#bulks.shift();
    bulk.onSent(null, crc32c(bulk.bytes));
  }

  #sendEnd(): void {
    if (this.#endSent) return;
    this.#endSent = true;
    const peer = this.#peer;
    peer.#endReceived = true;
    peer.close();
    peer.#endWhenBoth();
    this.#endWhenBoth();
  }

  #endWhenBoth(): void {
    if (this.#endSent && this.#endReceived) this.#end(null, closedError());
  }

  #receive(frame: FrameView): void {
    if (this.#state === 'closed') return;
    if (frame.end > this.#receivedBytesMax) {
      return this.destroy(
        new PaipaiError('PAIPAI_ERR_FRAME_TOO_LARGE', `a frame of ${frame.end} bytes arrived`),
      );
    }
    const isData = frame.type === FrameType.streamData && frame.flags === 0 && frame.end > 0;
    const sink = isData ? this.#sinks.get(frame.streamId) : null;
    if (sink !== null) return this.#land(frame.streamId, frame.bytes);
    this.#sinks.tell(frame.streamId);
    if (!this.#isClosed()) this.#receiver?.onFrame(frame);
  }

  #receiveChunk(streamId: number, chunk: Uint8Array): void {
    if (this.#state === 'closed') return;
    if (this.#sinks.get(streamId) !== null) return this.#land(streamId, chunk);
    const bytes = new Uint8Array(chunk);
    this.#receive(ownFrame(FrameType.streamData, 0, 0, streamId, 0, bytes));
  }

  #land(streamId: number, bytes: Uint8Array): void {
    const sink = this.#sinks.get(streamId)!; // The caller has looked.
    const room = sink.target.length - sink.landedBytes;
    if (bytes.length > room) {
      return this.destroy(
        new PaipaiError(
          'PAIPAI_ERR_SINK_OVERFLOW',
          `${bytes.length} bytes arrived on stream ${streamId}, which has room for ${room}`,
        ),
      );
    }
    sink.target.set(bytes, sink.landedBytes);
    this.#sinks.land(streamId, bytes.length, crc32c(bytes));
  }

  /** Ends this side now; callbacks follow in a later turn. */
  #end(error: Error | null, unsentReason: Error): void {
    const bulks = this.#bulks;
    this.#state = 'closed';
    this.#frames = [];
    this.#bulks = [];
    this.#queuedBytes = 0;
    this.#sinks.clearAll();
    this.#schedule(() => {
      for (const bulk of bulks) bulk.onSent(unsentReason, 0);
      this.#receiver?.onClose(error);
    });
  }
}

function ownFrame(
  type: number,
  flags: number,
  name: number,
  streamId: number,
  argument: number,
  bytes: Uint8Array,
): FrameView {
  return {
    type,
    flags,
    name,
    streamId,
    argument,
    bytes,
    start: 0,
    end: bytes.length,
    owned: true,
  };
}

function closedError(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_CLOSED', 'the channel is closed');
}
