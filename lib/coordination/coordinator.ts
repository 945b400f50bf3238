/**
 * The one place that a net agrees on: a small table of keys and values, in which a value is replaced only by somebody who knew
 * what it was. Shard maps, locks and decisions are built on it. Backends differ in what they survive; all keep to this page, and
 * `test/contract/coordinator.ts` holds them to it.
 *
 * Every `get` and `compareAndSet` takes effect at one moment between its call and its answer, so all callers see one history
 * (linearizability). One that fails with PAIPAI_ERR_DEADLINE, _ABORTED, _PEER_CLOSED or _STORE_FAILED may or may not have taken effect, or
 * take it later: look before you try again.
 */
export interface Coordinator {
  /**
   * What the key holds now.
   * Fails: PAIPAI_ERR_INVALID_ARGUMENT, _DEADLINE, _ABORTED, _CLOSED.
   */
  get(key: string, options?: CallOptions): Promise<KeyState>;

  /**
   * Sets the key to `value` (0 to `valueBytesMax` bytes, copied before this returns), or deletes it with undefined, if it holds the value
   * of `expectedVersion`; 0 stands for no value. When it does not, nothing changes, and that is an answer, not a failure.
   * Fails: PAIPAI_ERR_INVALID_ARGUMENT (also for deleting what is expected not to be there), _STORE_FULL, _STORE_FAILED, _OVERLOADED,
   * _DEADLINE, _ABORTED, _CLOSED.
   */
  compareAndSet(
    key: string,
    expectedVersion: number,
    value: Uint8Array | undefined,
    options?: CallOptions,
  ): Promise<CompareAndSetResult>;

  /**
   * Every change of the key with a version above `after`, oldest first, none left out and none twice; waits when there is no more.
   * Nothing is kept for a watch that is read slowly: it fails with PAIPAI_ERR_HISTORY_GONE once a change that it has yet to tell is no
   * longer kept, and then `get` gives a fresh start. It also fails with PAIPAI_ERR_ABORTED and _CLOSED. The first `next` after a failure
   * tells of it, later ones are done.
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT; PAIPAI_ERR_CLOSED.
   */
  watch(key: string, options: WatchOptions): Watch;

  /**
   * Lets go of everything. Calls that wait end with PAIPAI_ERR_CLOSED, but a change that is just being written is finished; watches
   * fail. Idempotent.
   */
  close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;
}

/** UTF-8, well-formed, at least one byte. */
export const keyBytesMax = 512;
/** 1 MiB: what etcd takes with its default settings, with room for the rest of the request. */
export const valueBytesMax: number = 1024 * 1024;

export interface CallOptions {
  /** Default 10,000; Infinity is none. */
  deadlineMs?: number;
  signal?: AbortSignal;
}

export const callDeadlineMsDefault = 10_000;

/** What a key holds. The bytes belong to whoever got them. */
export interface KeyState {
  /** Undefined when there is none. */
  readonly value: Uint8Array | undefined;
  /**
   * Of the value: an integer from 1 that grows with each change of the key, with gaps, and never comes again, also not after the key was
   * deleted. 0 without a value.
   */
  readonly version: number;
  /** A watch after this one tells of all that comes after this state, and of nothing before. At least `version`. */
  readonly asOf: number;
}

/** The state after the change; or the one that stood in its way. */
export interface CompareAndSetResult extends KeyState {
  readonly isSet: boolean;
}

export interface Change {
  readonly key: string;
  readonly version: number;
  /** Undefined when the key was deleted. The bytes belong to whoever got them. */
  readonly value: Uint8Array | undefined;
}

export interface WatchOptions {
  /** `asOf` of a state, or `version` of a change; 0 for all there ever was. */
  after: number;
  signal?: AbortSignal;
}

export interface Watch extends AsyncIterableIterator<Change> {
  /** Ends the watch; a `next` that waits is done. Idempotent. Leaving a `for await` calls it. */
  return(): Promise<IteratorResult<Change>>;
  [Symbol.asyncIterator](): Watch;
}
