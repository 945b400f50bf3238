import { checkCopies } from './check-copies.js';
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
 *
 * Each copy of a shard counts like a shard and goes to a node that has none of it yet; so a node gets every shard at most once,
 * whatever its weight, and the others share the rest.
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
    return this.#place(bytes, this.#shares).id;
  }

  placeCopies(_key: string, bytes: number, count: number): string[] {
    checkCopies(count, this.#shares.length);
    const chosen = new Set<Share>();
    while (chosen.size < count) {
      const others = this.#shares.filter((node) => !chosen.has(node));
      chosen.add(this.#place(bytes, others));
    }
    return [...chosen].map(({ id }) => id);
  }

  /** @param nodes those that may take it, one or more */
  #place(bytes: number, nodes: readonly Share[]): Share {
    this.#totalBytes += bytes;
    this.#largestBytes = Math.max(this.#largestBytes, bytes);
    const isAhead = (node: Share): boolean =>
      node.bytes + bytes - node.share * this.#totalBytes >= this.#largestBytes;
    // Of all nodes some one is behind its share, unless rounding hides it. Of those that have no copy yet there may be none.
    const chosen = (this.#firstDue(nodes, isAhead) ?? this.#firstDue(nodes, () => false)) as Share;
    chosen.bytes += bytes;
    return chosen;
  }

  /** Who would first fall behind by more than a shard, but for those that are `leftOut`. */
  #firstDue(nodes: readonly Share[], leftOut: (node: Share) => boolean): Share | undefined {
    let first: Share | undefined;
    let firstDeadline = Infinity;
    for (const node of nodes) {
      if (leftOut(node)) continue;
      const deadline = (node.bytes + this.#largestBytes) / node.share;
      if (first === undefined || deadline < firstDeadline) {
        first = node;
        firstDeadline = deadline;
      }
    }
    return first;
  }
}
