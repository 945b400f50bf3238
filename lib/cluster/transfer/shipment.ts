import type { ShardCut } from '../../data/shard.js';
import type { ShardHeader } from '../../wire/shard-header.js';

/** What the headers of all shards of one transfer have in common. */
export interface Shipment {
  readonly dataId: string;
  readonly version: bigint;
  /** Id of the sender. */
  readonly sourceId: string;
  /** Of the shard map that the sender has claimed the data by; 0 without one. */
  readonly mapVersion: number;
}

/** How many shards data have, and how many bytes. */
export interface Extent {
  readonly count: number;
  readonly totalBytes: number;
}

/** @param extent undefined while it is not known; the last shard tells it */
export function headerOf(
  { dataId, version, sourceId, mapVersion }: Shipment,
  targetId: string,
  { index, offset, bytes, last }: ShardCut & { readonly last: boolean },
  extent: Extent | undefined,
): ShardHeader {
  const lastExtent = last ? { count: index + 1, totalBytes: offset + bytes } : undefined;
  const { count, totalBytes } = extent ?? lastExtent ?? { count: 0, totalBytes: 0 };
  return {
    dataId,
    dataVersion: version,
    fencingToken: BigInt(mapVersion),
    sourceId,
    targetId,
    shardIndex: index,
    shardCount: count,
    offset,
    totalBytes,
    shardBytes: bytes,
    // Read once, on the way out: a pass of its own costs as much as sending.
    checksumFollows: true,
    contentCrc32c: 0,
    compressed: false,
    encrypted: false,
    last,
  };
}
