import { shardBytesMax } from '../wire/shard-header.js';

/** Limits and shapes of shards: the parts that data are cut into. Offsets and sizes are bytes of the content as it was cut. */

export const shardBytesMin: number = 1;
/** 64 MiB, which the wire format sets. */
export { shardBytesMax };
export const shardBytesDefault: number = 1024 * 1024;

/** Shards that one piece of data may have: a plan of them is kept in memory. At 1 MiB each they hold 16 TiB. */
export const shardCountMax: number = 1 << 24;

/** Cut only at the ends of records: rows of a table as RFC 4180 writes them, or lines that end in LF. */
export type RecordKind = 'csv' | 'lines';
export const recordKinds: readonly RecordKind[] = ['csv', 'lines'];

/** Where one shard lies in its data: `bytes` (1 or more) from `offset`. */
export interface ShardCut {
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * One shard with its content, lent by a splitter. `content` may lie in memory that is used again: it is valid until `release`,
 * which is idempotent. Whoever holds pieces holds their memory; a splitter adds only the few blocks it reads ahead.
 */
export interface ShardPiece extends ShardCut {
  readonly content: Uint8Array;
  /** Nothing follows: with this shard the count and the total are known. */
  readonly last: boolean;
  release(): void;
}
