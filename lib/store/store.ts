import type { DataPosition } from './data-position.js';

/**
 * Where a node keeps shards. Keys are data id, version and shard index.
 *
 * Some stores answer at once and some after a disk: what is `T | Promise<T>` here is awaited by whoever uses the interface, and a store in
 * memory costs no turn of the loop. Changes take effect in the order of the calls, whether or not somebody waits for each.
 */

export interface ShardKey {
  readonly dataId: string;
  readonly version: bigint;
  readonly index: number;
}

/** What came in the header of a shard. Count and total are 0 while they are not known. */
export interface ShardMeta {
  readonly count: number;
  readonly offset: number;
  readonly totalBytes: number;
  readonly crc32c: number;
  readonly last: boolean;
}

export interface StoredShard {
  readonly key: ShardKey;
  readonly meta: ShardMeta;
  readonly bytes: number;
}

/** One version of data, as far as it lies in a store. */
export interface StoredData extends DataPosition {
  readonly shards: number;
  /** Content of these shards. */
  readonly bytes: number;
}

/** Which versions: those of one data id or of all, from the first or behind a position on, and how many at most. */
export interface DataRange {
  readonly dataId?: string | undefined;
  readonly behind?: DataPosition | undefined;
  readonly countMax?: number | undefined;
}

/** Which shards: of one data id, all, those of one version, or one shard. */
export interface ShardRange {
  readonly dataId: string;
  readonly version?: bigint | undefined;
  readonly index?: number | undefined;
}

/** Room for a shard that is coming in. Nobody sees the shard before `commit`; either call ends the reservation. */
export interface ShardReservation {
  readonly key: ShardKey;
  /** Exactly the bytes that were asked for, backed by a SharedArrayBuffer; what they hold before they are written is left open. */
  readonly view: Uint8Array;
  /**
   * Makes the shard visible, and settles when it is as safe as this store makes it: on disk, where there is one. Only then may anybody be told
   * that it is stored. A shard that already stands under the key is replaced, and stays until then; leases on it stay good.
   * Fails, and stores nothing: PAIPAI_ERR_STORE_FULL, PAIPAI_ERR_STORE_FAILED, PAIPAI_ERR_CLOSED, PAIPAI_ERR_INVALID_STATE after either call.
   */
  commit(meta: ShardMeta): void | Promise<void>;
  /** Gives the room back. Nothing may write into `view` any more: take it from the channel first. Idempotent, also after `commit`, which goes on. */
  abort(): void;
}

/** A stored shard in use. Its memory stays as it is until `release` (idempotent), also when the shard is dropped meanwhile. */
export interface ShardLease extends StoredShard {
  /** Read only by agreement; backed by a SharedArrayBuffer, so that worker threads read it without a copy. */
  readonly view: Uint8Array;
  release(): void;
}

export interface StoreUsage {
  readonly shards: number;
  /** Content of stored shards. */
  readonly bytes: number;
  /** Room held by reservations that are not committed yet. */
  readonly reservedBytes: number;
  /** Memory taken from the system, empty parts included; never above the limit. */
  readonly heldBytes: number;
  /** Leases that are not released. */
  readonly leases: number;
  /** Shards found damaged since the store was opened. */
  readonly damaged: number;
}

export interface ShardStore {
  /** Most that shards take, in memory or on disk. */
  readonly sizeLimitBytes: number;
  /** Whether shards outlive the process; then `close` leaves them where they are. */
  readonly isDurable: boolean;
  /**
   * Room for `bytes` (1 to 64 MiB) under `key`. Two reservations of one key do not disturb each other; the last commit stands.
   * @throws PaipaiError PAIPAI_ERR_STORE_FULL, PAIPAI_ERR_SHARD_SIZE, PAIPAI_ERR_CLOSED; PAIPAI_ERR_OVERLOADED when there is room on disk but none in the
   * memory through which it goes there.
   */
  reserve(key: ShardKey, bytes: number): ShardReservation;
  /**
   * The shard as it was committed; undefined when there is none.
   * Fails: PAIPAI_ERR_SHARD_CHECKSUM when it came to harm where it lies (it stays listed until it is dropped or replaced),
   * PAIPAI_ERR_STORE_FAILED, PAIPAI_ERR_OVERLOADED as `reserve`, PAIPAI_ERR_CLOSED.
   */
  get(key: ShardKey): ShardLease | undefined | Promise<ShardLease | undefined>;
  /**
   * Drops these shards, those whose commit is under way too; how many. A shard in use keeps its memory until its last lease ends.
   * Fails: PAIPAI_ERR_STORE_FAILED, PAIPAI_ERR_STORE_FULL (a disk without any room left may not even be able to forget), PAIPAI_ERR_CLOSED.
   */
  drop(range: ShardRange): number | Promise<number>;
  /** Versions of data that are here, in the order of `comparePositions`; without a range all: after a restart, what a node still has. */
  contents(range?: DataRange): StoredData[];
  /** Shards of the data in the order of their index; without a version those of every version, older first. */
  list(dataId: string, version?: bigint): StoredShard[];
  usage(): StoreUsage;
  /**
   * Ends the store, after the commits under way. What lives in memory is gone; leases stay good until they are released.
   * Reserving afterwards is PAIPAI_ERR_CLOSED. Idempotent.
   */
  close(): void | Promise<void>;
}
