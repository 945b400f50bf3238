import type { Placement, PlacementNode } from './strategy.js';

interface Share {
  readonly id: string;
  /** Of 1. */
  readonly share: number;
  bytes: number;
}

/**
 * Bytes in proportion to the weights, shard by shard: at each moment every node is within one (largest) shard of its share.
 *
 * Of the nodes that would not run ahead of their share by more than a shard, the one that would first fall behind by more than a
 * shard comes next. For equal shards that is Tijdeman's solution of the chairman assignment problem (Discrete Mathematics 32,
 * 1980), which keeps every difference below one.
 */
export class WeightedPlacement implements Placement {
  readonly #shares: Share[];
  #totalBytes = 0;
  #largestBytes = 0;

  constructor(nodes: readonly PlacementNode[]) {
    // Divided first, so that a sum of huge weights stays finite.
    const largest = Math.max(...nodes.map((node) => node.weight));
    const sum = nodes.reduce((total, node) => total + node.weight / largest, 0);
    this.#shares = nodes.map(({ id, weight }) => ({ id, share: weight / largest / sum, bytes: 0 }));
  }

  place(_key: string, bytes: number): string {
    this.#totalBytes += bytes;
    this.#largestBytes = Math.max(this.#largestBytes, bytes);
    let chosen: Share | undefined;
    let chosenDeadline = Infinity;
    for (const node of this.#shares) {
      const ahead = node.bytes + bytes - node.share * this.#totalBytes;
      if (ahead >= this.#largestBytes) continue;
      const deadline = (node.bytes + this.#largestBytes) / node.share;
      if (deadline < chosenDeadline) {
        chosen = node;
        chosenDeadline = deadline;
      }
    }
    // Some node is behind its share, so there is one; rounding alone could hide it.
    chosen ??= this.#shares[0] as Share;
    chosen.bytes += bytes;
    return chosen.id;
  }
}
