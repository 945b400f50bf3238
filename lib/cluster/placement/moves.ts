import type { ShardCut } from '../../data/shard.js';
import { type Placement, shardKey } from './placement.js';

/** A shard, and where its copies lie. */
export interface LyingShard extends ShardCut {
  readonly holders: readonly string[];
}

/** What brings one shard where it belongs. One of the two lists has an entry. */
export interface Move {
  readonly index: number;
  readonly bytes: number;
  /** Nodes that lack a copy. */
  readonly to: readonly string[];
  /** Nodes that hold one which belongs elsewhere. */
  readonly from: readonly string[];
}

/**
 * What has to move for each of `shards` (all of the data, by index) to lie on `copies` nodes as `placement` says. Of its holders only
 * those in `present` count: what lies on others is neither there nor in anybody's way. A shard that lies on none of them stays out.
 */
export function planMoves(
  dataId: string,
  shards: Iterable<LyingShard>,
  placement: Placement,
  copies: number,
  present: ReadonlySet<string>,
): Move[] {
  const moves: Move[] = [];
  for (const { index, bytes, holders } of shards) {
    // Also of those that stay out: strategies that count have to see all of them.
    const belongs = placement.placeCopies(shardKey(dataId, index), bytes, copies);
    const there = holders.filter((nodeId) => present.has(nodeId));
    const to = belongs.filter((nodeId) => !there.includes(nodeId));
    const from = there.filter((nodeId) => !belongs.includes(nodeId));
    if (there.length > 0 && to.length + from.length > 0) moves.push({ index, bytes, to, from });
  }
  return moves;
}
