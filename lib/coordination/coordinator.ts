/**
 * The one place that a net agrees on: a small table of keys and values, in which values are replaced only by somebody who knew
 * what they were. Shard maps, locks, elections and decisions are built on it. Backends differ in what they survive; all keep to this page,
 * and `test/contract/coordinator.ts` holds them to it.
 *
 * Every call but `watch` takes effect at one moment between its call and its answer, so all callers see one history (linearizability).
 * One that fails with PAIPAI_ERR_DEADLINE, _ABORTED, _PEER_CLOSED or _STORE_FAILED may or may not have taken effect, or take it later: look before
 * you try again. Each fails with PAIPAI_ERR_INVALID_ARGUMENT, _DEADLINE, _ABORTED and _CLOSED.
 */
export interface Coordinator {
  /** What the key holds now. */
  get(key: string, options?: CallOptions): Promise<KeyState>;

  /** The keys that begin with `prefix` ('': all), by the order of their bytes. */
  list(prefix: string, options?: ListOptions): Promise<KeyList>;

  /**
   * Sets the key to `value` (0 to `valueBytesMax` bytes, copied before this returns), or deletes it with undefined, if it holds the value
   * of `expectedVersion`; 0 stands for no value. When it does not, nothing changes, and that is an answer, not a failure.
   * Fails: PAIPAI_ERR_INVALID_ARGUMENT also for deleting what is expected not to be there; _LEASE_LOST, _STORE_FULL, _STORE_FAILED, _OVERLOADED.
   */
  compareAndSet(
    key: string,
    expectedVersion: number,
    value: Uint8Array | undefined,
    options?: SetOptions,
  ): Promise<CompareAndSetResult>;

  /**
   * Changes several keys at one moment, if each of `expect` holds the value of its version then; otherwise nothing changes, and that is an
   * answer, not a failure. All changes have one version. Fails as `compareAndSet`; PAIPAI_ERR_INVALID_ARGUMENT for a key that stands twice in one of
   * the two, and above `txnKeysMax` keys or `valueBytesMax` bytes of values.
   */
  txn(txn: Txn, options?: CallOptions): Promise<TxnResult>;

  /**
   * Every change of the key with a version above `after`, oldest first, none left out and none twice; waits when there is no more.
   * Nothing is kept for a watch that is read slowly: it fails with PAIPAI_ERR_HISTORY_GONE once a change that it has yet to tell is no
   * longer kept, and then `get` gives a fresh start. It also fails with PAIPAI_ERR_ABORTED and _CLOSED. The first `next` after a failure
   * tells of it, later ones are done.
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT; PAIPAI_ERR_CLOSED.
   */
  watch(key: string, options: WatchOptions): Watch;

  /**
   * A lease that ends by itself `ttlMs` (`leaseTtlMsMin` to `leaseTtlMsMax`) after it was granted or kept alive, and never sooner by the
   * clock of whoever counts from before that call. With it go the keys that were set under it, at one moment. Fails: PAIPAI_ERR_OVERLOADED.
   */
  grantLease(ttlMs: number, options?: CallOptions): Promise<GrantedLease>;

  /** Has the lease begin anew. Fails: PAIPAI_ERR_LEASE_LOST. */
  keepLease(leaseId: number, options?: CallOptions): Promise<void>;

  /** Ends the lease and deletes its keys; nothing when it is over. Fails: PAIPAI_ERR_STORE_FULL, _STORE_FAILED, _OVERLOADED. */
  revokeLease(leaseId: number, options?: CallOptions): Promise<void>;

  /**
   * Lets go of everything. Calls that wait end with PAIPAI_ERR_CLOSED, but a change that is just being written is finished; watches
   * fail. Idempotent.
   */
  close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;
}

/** A coordinator of several nodes that decide together. */
export interface Quorum extends Coordinator {
  /**
   * Who votes, as far as those know it who answer now, whether they are a majority or not.
   * Fails: PAIPAI_ERR_COORDINATOR_DOWN when the quorum has not begun.
   */
  members(options?: CallOptions): Promise<readonly QuorumMember[]>;

  /**
   * Has the disk of one node vote in the place of another one's: of a node that runs as one of the quorum and is no member, or, with the same
   * name twice, of a member whose disk was lost. Settles when most of the members afterwards have the table; asked again, it changes nothing.
   * A majority of the members before and one of those afterwards must answer.
   * Fails: PAIPAI_ERR_UNKNOWN_NODE when the old node is no member; _NODE_LOST when the new one does not answer; _INVALID_STATE when it votes in
   * another quorum; _INVALID_ARGUMENT when it is another member.
   */
  replaceMember(oldNodeId: string, newNodeId: string, options?: CallOptions): Promise<void>;
}

export interface QuorumMember {
  readonly nodeId: string;
  readonly state: QuorumMemberState;
}

/** It answers; it answers and has lost the disk that votes; it does not answer. */
export type QuorumMemberState = 'voting' | 'wiped' | 'silent';

/** UTF-8, well-formed, at least one byte. */
export const keyBytesMax = 512;
/** 1 MiB: what etcd takes with its default settings, with room for the rest of the request. */
export const valueBytesMax: number = 1024 * 1024;
/** Different keys of one transaction: half of what etcd takes, for which each key of `set` is asked for as well. */
export const txnKeysMax = 64;
/** Keys in one answer. */
export const listKeysMax = 1_000;
/** Below it one late packet would end what it holds. */
export const leaseTtlMsMin = 100;
/** One hour: who died holds up the others no longer. */
export const leaseTtlMsMax = 3_600_000;

export interface CallOptions {
  /** Default 10,000; Infinity is none. */
  deadlineMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

export const callDeadlineMsDefault = 10_000;

export interface SetOptions extends CallOptions {
  /** The key is deleted when this lease ends, unless it was set anew by then. */
  leaseId?: number | undefined;
}

export interface ListOptions extends CallOptions {
  /** 1 to 1,000; default 1,000. */
  limit?: number;
  /** Only keys behind this one. */
  after?: string | undefined;
}

export interface KeyList {
  readonly keys: readonly KeyVersion[];
  /** Whether there is none behind them. */
  readonly isComplete: boolean;
}

export interface KeyVersion {
  readonly key: string;
  readonly version: number;
}

export interface Txn {
  /** Version 0: the key holds no value. */
  readonly expect?: readonly KeyVersion[];
  readonly set?: readonly TxnSet[];
}

export interface TxnSet {
  readonly key: string;
  /** Undefined deletes it, if it is there. */
  readonly value: Uint8Array | undefined;
  readonly leaseId?: number | undefined;
}

export interface TxnResult {
  readonly isSet: boolean;
  /** Of each key that was named, afterwards; 0 without a value. */
  readonly versions: ReadonlyMap<string, number>;
  /** A watch of any of them after this one tells of all that comes afterwards, and of nothing before. */
  readonly asOf: number;
}

export interface GrantedLease {
  /** An integer from 1. None comes again. */
  readonly leaseId: number;
  /** At least what was asked for: backends round up. */
  readonly ttlMs: number;
}

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
  signal?: AbortSignal | undefined;
}

export interface Watch extends AsyncIterableIterator<Change> {
  /** Ends the watch; a `next` that waits is done. Idempotent. Leaving a `for await` calls it. */
  return(): Promise<IteratorResult<Change>>;
  [Symbol.asyncIterator](): Watch;
}
