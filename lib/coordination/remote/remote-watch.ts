import { type Deferred, deferred } from '../../base/deferred.js';
import { toError } from '../../base/errors.js';
import type { PeerStream } from '../../session/types.js';
import { abortedError } from '../call.js';
import type { Change, Watch } from '../coordinator.js';
import { changeHeaderBytes, decodeChangeHeader, malformed, watchKeyMethod } from '../messages.js';

const done: IteratorResult<Change> = { done: true, value: undefined };

export interface RemoteWatchOptions {
  readonly key: string;
  readonly after: number;
  readonly signal: AbortSignal | undefined;
  /** What it throws is told as it is. */
  readonly open: () => PeerStream;
  /** How to tell what has ended the stream. */
  readonly errorOf: (thrown: unknown) => Error;
  readonly onOver: (watch: RemoteWatch) => void;
}

/** A watch whose changes come on a stream. What has come and was not asked for yet is bounded by the window of the stream. */
export class RemoteWatch implements Watch {
  readonly #options: RemoteWatchOptions;
  readonly #waiting: Deferred<IteratorResult<Change>>[] = [];
  readonly #onAbort: () => void;
  #stream: PeerStream | undefined;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  /** Of the chunk that came last what belongs to no change yet. */
  #rest: Uint8Array = new Uint8Array(0);
  /** Of the change told last. */
  #version: number;
  #isReading = false;
  #isOver = false;
  /** Why it is over, for the next one who asks. */
  #error: Error | undefined;

  constructor(options: RemoteWatchOptions) {
    const { key, after, signal } = options;
    this.#options = options;
    this.#version = after;
    this.#onAbort = () =>
      this.fail(abortedError(`the watch of key ${JSON.stringify(key)}`, signal!));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
    else this.#open();
  }

  #open(): void {
    const { open, errorOf } = this.#options;
    try {
      const stream = open();
      this.#stream = stream;
      this.#chunks = stream[Symbol.asyncIterator]();
      stream.signal.addEventListener('abort', () => this.fail(errorOf(stream.signal.reason)));
    } catch (thrown) {
      this.fail(toError(thrown));
    }
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  next(): Promise<IteratorResult<Change>> {
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#isOver) return Promise.resolve(done);
    const waiting = deferred<IteratorResult<Change>>();
    this.#waiting.push(waiting);
    if (!this.#isReading) void this.#read();
    return waiting.promise;
  }

  return(): Promise<IteratorResult<Change>> {
    this.#end(new Error('the watch is over'));
    this.#error = undefined;
    return Promise.resolve(done);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next one who asks, or has asked, hears of `error`. */
  fail(error: Error): void {
    if (this.#isOver) return;
    const first = this.#waiting.shift();
    if (first === undefined) this.#error = error;
    else first.reject(error);
    this.#end(error);
  }

  #end(reason: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#rest = new Uint8Array(0);
    for (const { resolve } of this.#waiting.splice(0)) resolve(done);
    this.#stream?.reset(reason);
    this.#options.onOver(this);
  }

  /** Takes changes from the stream as long as somebody waits for one. It never rejects. */
  async #read(): Promise<void> {
    this.#isReading = true;
    try {
      while (this.#waiting.length > 0) {
        const change = await this.#readChange();
        this.#waiting.shift()?.resolve({ done: false, value: change });
      }
    } catch (thrown) {
      this.fail(this.#options.errorOf(thrown));
    }
    this.#isReading = false;
  }

  async #readChange(): Promise<Change> {
    const { version, valueBytes } = decodeChangeHeader(await this.#take(changeHeaderBytes));
    if (version <= this.#version) {
      throw malformed(watchKeyMethod, `tells of version ${version} after ${this.#version}`);
    }
    const value = valueBytes === undefined ? undefined : await this.#take(valueBytes);
    this.#version = version;
    return { key: this.#options.key, version, value };
  }

  /** The next bytes of the stream, a copy. */
  async #take(byteCount: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(byteCount);
    for (let filled = 0; filled < byteCount; ) {
      if (this.#rest.byteLength === 0) {
        const next = await this.#chunks?.next();
        if (next === undefined || next.done === true) {
          throw malformed(watchKeyMethod, 'ended where nobody has ended it');
        }
        this.#rest = next.value;
      }
      const part = this.#rest.subarray(0, byteCount - filled);
      bytes.set(part, filled);
      filled += part.byteLength;
      this.#rest = this.#rest.subarray(part.byteLength);
    }
    return bytes;
  }
}
