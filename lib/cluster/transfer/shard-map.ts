import type { ShardCut } from '../../data/shard.js';

/** A shard that at least one node has confirmed. */
export interface PlacedShard extends ShardCut {
  readonly crc32c: number;
  /** Ids of the nodes that hold it, in the order in which they confirmed. */
  readonly holders: readonly string[];
}

/** Where the shards of one piece of data lie, as far as their nodes have confirmed it. */
export class ShardMap {
  readonly #shards = new Map<number, PlacedShard>();

  get count(): number {
    return this.#shards.size;
  }

  /** Whether the node was not known to hold the shard. */
  add({ index, offset, bytes }: ShardCut, crc32c: number, nodeId: string): boolean {
    const holders = this.#shards.get(index)?.holders ?? [];
    if (holders.includes(nodeId)) return false;
    this.#shards.set(index, { index, offset, bytes, crc32c, holders: [...holders, nodeId] });
    return true;
  }

  remove(index: number, nodeId: string): void {
    const shard = this.#shards.get(index);
    if (shard === undefined) return;
    const holders = shard.holders.filter((id) => id !== nodeId);
    if (holders.length === 0) this.#shards.delete(index);
    else this.#shards.set(index, { ...shard, holders });
  }

  clear(): void {
    this.#shards.clear();
  }

  /** All of them, by index. */
  list(): PlacedShard[] {
    return [...this.#shards.values()].sort((a, b) => a.index - b.index);
  }

  /** Ids of all nodes that hold some. */
  holders(): Set<string> {
    return new Set([...this.#shards.values()].flatMap(({ holders }) => holders));
  }
}
