import { spreadOf } from '../spread.js';
import type { PlacementNode } from './strategy.js';

export interface NodeLoad {
  readonly nodeId: string;
  readonly shards: number;
  readonly bytes: number;
  /** w_i = bytes / P. Those of all nodes sum to 1. */
  readonly weight: number;
}

export interface Load {
  readonly totalBytes: number;
  /** In the order of the nodes, those without a shard included. */
  readonly perNode: readonly NodeLoad[];
  /** Fullest node against the mean, each measured by its own share: 1 is even. */
  readonly maxToMean: number;
  /** Jain's index of bytes by share: 1 is even, 1 / N is all on one node. */
  readonly fairness: number;
}

/** How shards that were placed spread over `nodes`. Without a byte everything is 0, and even. */
export function loadOf(
  placed: Iterable<{ readonly nodeId: string; readonly bytes: number }>,
  nodes: readonly PlacementNode[],
): Load {
  const sums = new Map(nodes.map(({ id }) => [id, { shards: 0, bytes: 0 }]));
  let totalBytes = 0;
  for (const { nodeId, bytes } of placed) {
    const sum = sums.get(nodeId);
    if (sum === undefined) continue; // Of a node that has left: not part of this picture.
    sum.shards++;
    sum.bytes += bytes;
    totalBytes += bytes;
  }
  const { weights, maxToMean, fairness } = spreadOf(
    nodes.map(({ id, weight }) => ({ amount: sums.get(id)?.bytes ?? 0, weight })),
  );
  const perNode = nodes.map(({ id }, at): NodeLoad => {
    const { shards, bytes } = sums.get(id) ?? { shards: 0, bytes: 0 };
    return { nodeId: id, shards, bytes, weight: weights[at] ?? 0 };
  });
  return { totalBytes, perNode, maxToMean, fairness };
}
