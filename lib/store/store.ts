/** Where a node keeps shards. Keys are data id, version and shard index. */

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

/** Room for a shard that is coming in. Nobody sees the shard before `commit`; either call ends the reservation. */
export interface ShardReservation {
  readonly key: ShardKey;
  /** Exactly the bytes that were asked for, backed by a SharedArrayBuffer; what they hold before they are written is left open. */
  readonly view: Uint8Array;
  /** Makes the shard visible. A shard that already stands under the key is replaced; leases on it stay good. */
  commit(meta: ShardMeta): void;
  /** Gives the room back. Nothing may write into `view` any more: take it from the channel first. Idempotent, also after `commit`. */
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
}

export interface ShardStore {
  readonly sizeLimitBytes: number;
  /**
   * Room for `bytes` (1 to 64 MiB) under `key`. Two reservations of one key do not disturb each other; the last commit stands.
   * @throws PaipaiError PAIPAI_ERR_STORE_FULL, PAIPAI_ERR_SHARD_SIZE, PAIPAI_ERR_CLOSED.
   */
  reserve(key: ShardKey, bytes: number): ShardReservation;
  get(key: ShardKey): ShardLease | undefined;
  /** Whether there was such a shard. Its memory is free when the last lease ends. */
  drop(key: ShardKey): boolean;
  /** Drops every shard of the data, in one version or in all; returns how many. */
  dropData(dataId: string, version?: bigint): number;
  /** Shards of the data in the order of their index; without a version those of every version, older first. */
  list(dataId: string, version?: bigint): StoredShard[];
  usage(): StoreUsage;
  /** Drops everything; leases stay good until they are released. Reserving afterwards is PAIPAI_ERR_CLOSED. */
  close(): void;
}
