import { type Deferred, deferred } from '../base/deferred.js';
import { toError } from '../base/errors.js';
import { abortedError } from './call.js';
import type { WatchSettings } from './check.js';
import type { Change, Watch } from './coordinator.js';

const done: IteratorResult<Change> = { done: true, value: undefined };

/** Where the changes of a watch come from, one by one and in order. */
export interface ChangeSource {
  /** Fires when nothing comes any more, also while nobody asks; its reason says why. */
  readonly signal: AbortSignal;
  /** Asked for one at a time. */
  next(): Promise<Change>;
  cancel(reason: Error): void;
}

export interface StreamWatchOptions extends WatchSettings {
  readonly key: string;
  /** What it throws is told as it is. */
  readonly open: () => ChangeSource;
  /** How to tell what has ended the source. */
  readonly errorOf: (thrown: unknown) => Error;
  readonly onOver: (watch: StreamWatch) => void;
}

/** A watch whose changes come from elsewhere. It asks for one when somebody waits for it, and holds none. */
export class StreamWatch implements Watch {
  readonly #options: StreamWatchOptions;
  readonly #waiting: Deferred<IteratorResult<Change>>[] = [];
  readonly #onAbort: () => void;
  #source: ChangeSource | undefined;
  #isReading = false;
  #isOver = false;
  /** Why it is over, for the next one who asks. */
  #error: Error | undefined;

  constructor(options: StreamWatchOptions) {
    const { key, signal } = options;
    this.#options = options;
    this.#onAbort = () =>
      this.fail(abortedError(`the watch of key ${JSON.stringify(key)}`, signal!));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
    else this.#open();
  }

  #open(): void {
    const { open, errorOf } = this.#options;
    try {
      const source = open();
      this.#source = source;
      source.signal.addEventListener('abort', () => this.fail(errorOf(source.signal.reason)));
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
    for (const { resolve } of this.#waiting.splice(0)) resolve(done);
    this.#source?.cancel(reason);
    this.#options.onOver(this);
  }

  /** It never rejects. */
  async #read(): Promise<void> {
    this.#isReading = true;
    try {
      while (this.#waiting.length > 0) {
        const change = await this.#source!.next(); // Who waits does so for a source that is there.
        this.#waiting.shift()?.resolve({ done: false, value: change });
      }
    } catch (thrown) {
      this.fail(this.#options.errorOf(thrown));
    }
    this.#isReading = false;
  }
}
