import { crc32c } from '../wire/crc32c.js';
import { frameHeaderBytes, writeFrameHeader } from '../wire/frame.js';
import { copyBytesMax } from './limits.js';

const bufferBytes = 64 * 1024;
const spareCountMax = 16;
const nothing = new Uint8Array(0);

/** Buffers that frames are gathered in; one set serves all channels of a network, so that an idle channel holds none. */
export class GatherBuffers {
  readonly #spare: Uint8Array[] = [];
  /**
   * The others serve again until the collector takes them. A long queue leaves in few batches: while the buffers of one waited for the
   * collector, the next frames would fill new ones, and malloc keeps what is freed between those in use.
   */
  readonly #collectable: WeakRef<Uint8Array>[] = [];

  acquire(): Uint8Array {
    const spare = this.#spare.pop();
    if (spare !== undefined) return spare;
    while (this.#collectable.length > 0) {
      const buffer = this.#collectable.pop()!.deref();
      if (buffer !== undefined) return buffer;
    }
    return new Uint8Array(Buffer.allocUnsafeSlow(bufferBytes).buffer);
  }

  release(buffer: Uint8Array): void {
    if (this.#spare.length < spareCountMax) this.#spare.push(buffer);
    else this.#collectable.push(new WeakRef(buffer));
  }
}

/** Frames that leave in one write: what to write, in order, and the buffers to give back when the system has taken it. */
export interface GatheredBatch {
  readonly segments: readonly Uint8Array[];
  readonly byteCount: number;
  readonly buffers: readonly Uint8Array[];
}

/**
 * Encodes frames one behind the other, and numbers them. Headers and small payloads are copied into a buffer; a large payload
 * is a segment of its own, by reference.
 *
 *   buffer:   | header payload header payload header |                 | header …
 *   segments: |<------------- first --------------->| large payload   |<- third …
 */
export class FrameGatherer {
  readonly #pool: GatherBuffers;
  #sequence = 0;
  #segments: Uint8Array[] = [];
  #buffers: Uint8Array[] = [];
  #byteCount = 0;
  /** The buffer being filled; `#from` is where the open segment begins, `#to` where it ends. */
  #buffer: Uint8Array = nothing;
  #from = 0;
  #to = 0;

  constructor(pool: GatherBuffers) {
    this.#pool = pool;
  }

  /** Bytes gathered since the last `take`. */
  get byteCount(): number {
    return this.#byteCount;
  }

  /** Returns the CRC32C of the payload. */
  add(
    type: number,
    flags: number,
    name: number,
    streamId: number,
    argument: number,
    payload: Uint8Array = nothing,
  ): number {
    const payloadBytes = payload.length;
    const copied = payloadBytes <= copyBytesMax;
    this.#makeRoom(frameHeaderBytes + (copied ? payloadBytes : 0));
    const sequence = this.#sequence;
    this.#sequence = (sequence + 1) >>> 0;
    const sum = crc32c(payload);
    writeFrameHeader(
      this.#buffer,
      this.#to,
      type,
      flags,
      name,
      streamId,
      sequence,
      argument,
      payloadBytes,
      sum,
    );
    this.#to += frameHeaderBytes;
    this.#byteCount += frameHeaderBytes + payloadBytes;
    if (copied) {
      this.#buffer.set(payload, this.#to);
      this.#to += payloadBytes;
    } else {
      this.#closeSegment();
      this.#segments.push(payload);
    }
    return sum;
  }

  /** Everything gathered so far, or null when there is nothing. */
  take(): GatheredBatch | null {
    if (this.#byteCount === 0) return null;
    this.#closeSegment();
    const batch = { segments: this.#segments, byteCount: this.#byteCount, buffers: this.#buffers };
    this.#segments = [];
    this.#buffers = [];
    this.#byteCount = 0;
    this.#buffer = nothing;
    this.#from = 0;
    this.#to = 0;
    return batch;
  }

  /** The system has taken the batch; its buffers serve again. */
  release(batch: GatheredBatch): void {
    for (const buffer of batch.buffers) this.#pool.release(buffer);
  }

  #makeRoom(byteCount: number): void {
    if (byteCount <= this.#buffer.length - this.#to) return;
    this.#closeSegment();
    this.#buffer = this.#pool.acquire();
    this.#buffers.push(this.#buffer);
    this.#from = 0;
    this.#to = 0;
  }

  #closeSegment(): void {
    if (this.#to > this.#from) this.#segments.push(this.#buffer.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }
}
