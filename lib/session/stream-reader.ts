import { type Deferred, deferred } from '../base/deferred.js';
import { PaipaiError } from '../base/errors.js';
import type { FrameView } from '../transport/frame-channel.js';
import { chunkBytesMax, FrameType } from '../wire/frame.js';
import type { CreditBudget, Grantee } from './credit.js';
import { protocolError } from './failures.js';
import type { Link } from './link.js';
import { keepPayload, noBytes } from './payload.js';
import { endArgument } from './stream-writer.js';
import type { Received } from './types.js';
import { WaitingChunks } from './waiting-chunks.js';

/** Most that one CREDIT frame grants. */
const grantBytesMax = 0x7fff_ffff;

interface Sink {
  readonly target: Uint8Array;
  readonly onProgress: ((landedBytes: number) => void) | undefined;
  readonly done: Deferred<Received>;
  landedBytes: number;
  crc32c: number;
}

/**
 * The incoming half of a stream. Nothing is granted before somebody reads, so a stream nobody reads holds no bytes.
 *
 *  | taken by the reader | chunks that wait | granted, may still come | not granted |
 *                        |<-------- outstandingBytes ------------------>|
 */
export class StreamReader implements Grantee {
  readonly #link: Link;
  readonly #id: number;
  readonly #budget: CreditBudget;
  readonly #onEnded: () => void;
  readonly #giveUp: (error: Error) => void;
  outstandingBytes = 0;
  /** Granted, and not yet arrived. */
  #openBytes = 0;
  #arrivedBytes = 0;
  #isIterated = false;
  #sink: Sink | null = null;
  #grantedToSink = 0;
  readonly #chunks = new WaitingChunks();
  readonly #nexts: Deferred<IteratorResult<Uint8Array>>[] = [];
  #trailer: Uint8Array | null = null;
  #failure: Error | null = null;
  /** The budget has back what it gave, so chunks that are taken later return nothing. */
  #hasLeft = false;
  #ended: Deferred<Uint8Array> | null = null;

  /**
   * @param onEnded called when the other side's end has come
   * @param giveUp resets the stream
   */
  constructor(
    link: Link,
    id: number,
    budget: CreditBudget,
    onEnded: () => void,
    giveUp: (error: Error) => void,
  ) {
    this.#link = link;
    this.#id = id;
    this.#budget = budget;
    this.#onEnded = onEnded;
    this.#giveUp = giveUp;
  }

  get hasEnded(): boolean {
    return this.#trailer !== null;
  }

  get wantedBytes(): number {
    if (this.#trailer !== null || this.#failure !== null) return 0;
    if (this.#sink !== null) return this.#sink.target.length - this.#grantedToSink;
    return Math.max(0, this.#link.settings.streamWindowBytes - this.outstandingBytes);
  }

  grant(byteCount: number): void {
    this.#openBytes += byteCount;
    if (this.#sink !== null) this.#grantedToSink += byteCount;
    for (let rest = byteCount; rest > 0; rest -= grantBytesMax) {
      this.#link.sendFrame(FrameType.credit, 0, this.#id, Math.min(rest, grantBytesMax), noBytes);
    }
  }

  get ended(): Promise<Uint8Array> {
    if (this.#ended === null) {
      this.#ended = deferred();
      // Who looks at the property without waiting for it has not asked to be told of a failure.
      this.#ended.promise.catch(() => {});
      if (this.#failure !== null) this.#ended.reject(this.#failure);
      else if (this.#trailer !== null) this.#ended.resolve(this.#trailer);
    }
    return this.#ended.promise;
  }

  receiveInto(target: Uint8Array, onProgress: Sink['onProgress']): Promise<Received> {
    this.#checkUnread('receiveInto');
    const isOpen = this.#failure === null && this.#trailer === null;
    // First, because it may throw: then nothing waits that a later failure would reject and nobody would hear.
    if (isOpen && target.length > 0) this.#link.channel.setSink(this.#id, target);
    const sink: Sink = { target, onProgress, done: deferred(), landedBytes: 0, crc32c: 0 };
    this.#sink = sink;
    if (this.#failure !== null) sink.done.reject(this.#failure);
    else if (this.#trailer !== null) this.#finishSink(sink, this.#trailer);
    else if (target.length > 0) this.#budget.ask(this);
    return sink.done.promise;
  }

  iterate(): AsyncIterator<Uint8Array> {
    this.#checkUnread('iterating');
    this.#isIterated = true;
    this.#budget.ask(this);
    return {
      next: () => this.#next(),
      return: () => this.#stop(),
    };
  }

  /** @throws PaipaiError PAIPAI_ERR_PROTOCOL */
  onData(frame: FrameView): void {
    const byteCount = frame.end - frame.start;
    if (byteCount < 1 || byteCount > chunkBytesMax) {
      throw protocolError(`data of ${byteCount} bytes on stream ${this.#id}`);
    }
    this.#arrive(byteCount);
    // The channel takes the data of a sink; with one set, none can come here.
    if (this.#sink !== null) throw protocolError(`data beside the sink of stream ${this.#id}`);
    const chunk = keepPayload(frame);
    const next = this.#nexts.shift();
    if (next === undefined) {
      this.#chunks.push(chunk);
    } else {
      next.resolve({ done: false, value: chunk });
      this.#taken(byteCount);
    }
  }

  /** @throws PaipaiError PAIPAI_ERR_PROTOCOL */
  onSink(landedBytes: number, crc32c: number): void {
    const sink = this.#sink;
    if (sink === null) return;
    const byteCount = landedBytes - sink.landedBytes;
    this.#link.bytesReceived += byteCount;
    this.#arrive(byteCount);
    sink.landedBytes = landedBytes;
    sink.crc32c = crc32c;
    this.#taken(byteCount);
    try {
      sink.onProgress?.(landedBytes);
    } catch (error) {
      this.#giveUp(error as Error); // Whatever was thrown; the reset wraps it.
    }
  }

  /** @throws PaipaiError PAIPAI_ERR_PROTOCOL */
  onEnd(trailer: Uint8Array, argument: number): void {
    if (this.#trailer !== null) throw protocolError(`a second end of stream ${this.#id}`);
    if (argument !== endArgument(this.#arrivedBytes)) {
      throw protocolError(
        `stream ${this.#id} ended after ${this.#arrivedBytes} bytes, and its end counts ${argument} modulo 2^32`,
      );
    }
    this.#trailer = trailer;
    const unused = this.#openBytes;
    this.#openBytes = 0;
    this.#budget.giveBack(this, unused);
    this.#ended?.resolve(trailer);
    if (this.#sink !== null) this.#finishSink(this.#sink, trailer);
    for (const next of this.#nexts.splice(0)) next.resolve({ done: true, value: undefined });
    this.#onEnded();
  }

  /** Drops what has come whole and waits for its reader, who fails with `error`; without such a thing nothing. */
  drop(error: Error): void {
    if (this.#chunks.isEmpty) return;
    this.#failure ??= error;
    this.#chunks.clear();
    this.#leave();
  }

  /** What has come whole stays readable; a direction without its end fails. */
  fail(error: Error): void {
    this.#leave();
    if (this.#failure !== null || this.#trailer !== null) return;
    this.#failure = error;
    this.#chunks.clear();
    if (this.#sink !== null) {
      this.#link.channel.clearSink(this.#id);
      this.#sink.done.reject(error);
    }
    this.#ended?.reject(error);
    for (const next of this.#nexts.splice(0)) next.reject(error);
  }

  #arrive(byteCount: number): void {
    if (this.#trailer !== null) throw protocolError(`data after the end of stream ${this.#id}`);
    if (byteCount > this.#openBytes) {
      throw protocolError(
        `${byteCount} bytes on stream ${this.#id}, which has credit for ${this.#openBytes}`,
      );
    }
    this.#openBytes -= byteCount;
    this.#arrivedBytes += byteCount;
  }

  #leave(): void {
    this.#hasLeft = true;
    this.#budget.leave(this);
  }

  #taken(byteCount: number): void {
    if (this.#hasLeft) return;
    this.#budget.giveBack(this, byteCount);
    // Credit returns in quarters of the window, not with each small chunk.
    const wanted = this.wantedBytes;
    const quarter = this.#link.settings.streamWindowBytes / 4;
    if (wanted > 0 && (this.#sink !== null || wanted >= quarter)) this.#budget.ask(this);
  }

  #finishSink(sink: Sink, trailer: Uint8Array): void {
    if (sink.target.length > 0) this.#link.channel.clearSink(this.#id);
    sink.done.resolve({ bytes: sink.landedBytes, crc32c: sink.crc32c, trailer });
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#taken(chunk.length);
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#trailer !== null) return Promise.resolve({ done: true, value: undefined });
    const next = deferred<IteratorResult<Uint8Array>>();
    this.#nexts.push(next);
    return next.promise;
  }

  /** A reader that leaves early wants no more: what waits is dropped, and a sender still at work is told. */
  #stop(): Promise<IteratorResult<Uint8Array>> {
    if (this.#trailer === null && this.#failure === null) {
      this.#giveUp(
        new PaipaiError('PAIPAI_ERR_ABORTED', 'the reader of the stream left before its end'),
      );
    } else {
      this.#chunks.clear();
      this.#leave();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  #checkUnread(what: string): void {
    if (!this.#isIterated && this.#sink === null) return;
    throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', `${what}: the stream is being read already`);
  }
}
