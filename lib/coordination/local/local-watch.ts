import { type Deferred, deferred } from '../../base/deferred.js';
import { toError } from '../../base/errors.js';
import { abortedError } from '../call.js';
import type { WatchSettings } from '../check.js';
import type { Change, Watch } from '../coordinator.js';
import type { Entries } from './entries.js';

const done: IteratorResult<Change> = { done: true, value: undefined };

/** A place in the history of one key, and those who wait for what comes next. It holds no changes of its own. */
export class LocalWatch implements Watch {
  readonly key: string;
  #entries: Entries;
  readonly #onOver: () => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  readonly #waiting: Deferred<IteratorResult<Change>>[] = [];
  /** Changes up to this version have been told. */
  #after: number;
  /** Whether there is none behind `#after`, however much of other keys' history is forgotten. */
  #isCaughtUp = false;
  #isOver = false;
  /** Why it is over, for the next one who asks. */
  #error: Error | undefined;

  constructor(
    entries: Entries,
    key: string,
    { after, signal }: WatchSettings,
    onOver: (watch: LocalWatch) => void,
  ) {
    this.key = key;
    this.#entries = entries;
    this.#after = after;
    this.#onOver = () => onOver(this);
    this.#signal = signal;
    this.#onAbort = () =>
      this.fail(abortedError(`the watch of key ${JSON.stringify(key)}`, signal!));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
    else this.#look();
  }

  next(): Promise<IteratorResult<Change>> {
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    const result = this.#take();
    if (result !== undefined) return Promise.resolve(result);
    if (this.#error !== undefined) return this.next();
    const waiting = deferred<IteratorResult<Change>>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  return(): Promise<IteratorResult<Change>> {
    this.#end();
    this.#error = undefined;
    return Promise.resolve(done);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The key has changed, to this version. */
  onChange(version: number): void {
    if (this.#isCaughtUp) this.#after = version - 1; // There was nothing in between.
    this.#isCaughtUp = false;
    this.#tell();
  }

  #tell(): void {
    while (this.#waiting.length > 0) {
      const result = this.#take();
      if (result === undefined) break;
      this.#waiting.shift()?.resolve(result);
    }
  }

  /** Goes on with another history, where there is one of the key behind what was told; that of the first is known up to `version`. */
  rebase(entries: Entries, version: number): void {
    this.#entries = entries;
    if (this.#isCaughtUp) this.#after = Math.max(this.#after, version);
    this.#isCaughtUp = false;
    this.#tell();
  }

  /** The next one who asks, or has asked, hears of `error`. */
  fail(error: Error): void {
    if (this.#isOver) return;
    const first = this.#waiting.shift();
    if (first === undefined) this.#error = error;
    else first.reject(error);
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    for (const { resolve } of this.#waiting.splice(0)) resolve(done);
    this.#onOver();
  }

  /** What can be told at once; undefined when there is nothing yet. */
  #take(): IteratorResult<Change> | undefined {
    if (this.#isOver) return this.#error === undefined ? done : undefined;
    const change = this.#look();
    if (change === undefined) return undefined;
    this.#after = change.version;
    this.#look();
    const { key, version, value } = change;
    const copy = value === undefined ? undefined : Uint8Array.from(value);
    return { done: false, value: { key, version, value: copy } };
  }

  #look(): Change | undefined {
    if (this.#isCaughtUp) return undefined;
    try {
      const change = this.#entries.changeAfter(this.key, this.#after);
      this.#isCaughtUp = change === undefined;
      return change;
    } catch (thrown) {
      this.fail(toError(thrown));
      return undefined;
    }
  }
}
