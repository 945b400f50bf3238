import type { ShardCut } from '../../data/shard.js';
import type { Extent } from './shipment.js';

/** A shard that nodes have confirmed. */
export interface PlacedShard extends ShardCut {
  readonly crc32c: number;
  /** Ids of the nodes that hold it, in the order in which they confirmed. */
  readonly holders: readonly string[];
}

/** Where the shards of one piece of data lie, as far as their nodes have confirmed it. One that lies nowhere any more stays known. */
export class ShardMap {
  readonly #shards = new Map<number, PlacedShard>();

  get count(): number {
    return this.#shards.size;
  }

  /** Whether the node was not known to hold the shard. */
  add({ index, offset, bytes }: ShardCut, crc32c: number, nodeId: string): boolean {
    const known = this.#shards.get(index);
    // Of another cut, or content, nobody is asked any more.
    const isSame = known?.offset === offset && known.bytes === bytes && known.crc32c === crc32c;
    const holders = isSame ? known.holders : [];
    if (holders.includes(nodeId)) return false;
    this.#shards.set(index, { index, offset, bytes, crc32c, holders: [...holders, nodeId] });
    return true;
  }

  /** Knows the shard as it is given, also when nobody holds it. */
  set(shard: PlacedShard): void {
    this.#shards.set(shard.index, shard);
  }

  isHeldBy(index: number, nodeId: string): boolean {
    return this.#shards.get(index)?.holders.includes(nodeId) === true;
  }

  /** The node does not hold the shard any more. */
  remove(index: number, nodeId: string): void {
    const shard = this.#shards.get(index);
    if (shard === undefined) return;
    this.#shards.set(index, { ...shard, holders: shard.holders.filter((id) => id !== nodeId) });
  }

  /** The shard was never there, or is there no more because nobody wants it. */
  forget(index: number): void {
    this.#shards.delete(index);
  }

  /** Takes `nodeId` from every shard that it does not hold any more. */
  retain(nodeId: string, holds: (shard: PlacedShard) => boolean): void {
    for (const shard of this.#shards.values()) {
      if (shard.holders.includes(nodeId) && !holds(shard)) this.remove(shard.index, nodeId);
    }
  }

  clear(): void {
    this.#shards.clear();
  }

  /** All of them, by index. */
  list(): PlacedShard[] {
    return [...this.#shards.values()].sort((a, b) => a.index - b.index);
  }

  extent(): Extent {
    let totalBytes = 0;
    for (const { bytes } of this.#shards.values()) totalBytes += bytes;
    return { count: this.#shards.size, totalBytes };
  }

  /** Ids of all nodes that hold some. */
  holders(): Set<string> {
    return new Set([...this.#shards.values()].flatMap(({ holders }) => holders));
  }
}
