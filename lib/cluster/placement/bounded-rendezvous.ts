import { checkCopies } from './check-copies.js';
import { hashText } from './hash.js';
import { type Drawer, drawersOf, shortestLot } from './lots.js';
import { sharesOf } from './shares.js';
import type { Placement, PlacementNode } from './strategy.js';

/** A node takes at most this many times its share. */
export const loadBound = 1.1;

interface Bin extends Drawer {
  /** Of all bytes, 0 to 1, for the number of copies that was asked for last. */
  share: number;
  bytes: number;
}

/**
 * Weighted rendezvous hashing with bounded load: the shortest lot of those nodes that have room. A node has room while it holds
 * less than c = 1.1 times its share, so that at each moment node i of the share s_i holds less than c · s_i · M + one shard, and for
 * equal shards at most ⌈c · s_i · M⌉ of them. M is what has been placed so far, or `totalBytes` when that is more. (The bound is that of
 * Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018, there on a ring.)
 *
 * Somebody always has room: were all full, they would hold c · M or more.
 *
 * The same shards in the same order go to the same nodes; a node that joins or leaves moves what it wins or had, and a little of what
 * overflowed. Without `totalBytes` the bound is as tight for the first shards as for the last, so that more of them overflow.
 *
 * Copies of a shard lie on distinct nodes, which no node can take more than 1 / count of: shares above that are cut, and the others
 * get the rest. It can happen that fewer than `count` nodes have room (those with room are full of copies of this very shard): then the
 * least full of the others by its share takes the copy. With N equal nodes none holds more than max(c, N / (N - count + 1)) times
 * its share and one shard.
 */
export class BoundedRendezvousPlacement implements Placement {
  readonly #bins: readonly Bin[];
  readonly #totalBytesLeast: number;
  #copies = 1;
  #bytes = 0;

  /** @param totalBytes of all that will be placed, copies included, where it is known */
  constructor(nodes: readonly PlacementNode[], totalBytes = 0) {
    const shares = sharesOf(nodes, 1);
    this.#bins = drawersOf(nodes).map((drawer, at) => ({
      ...drawer,
      share: shares[at] ?? 0,
      bytes: 0,
    }));
    this.#totalBytesLeast = totalBytes;
  }

  place(key: string, bytes: number): string {
    return this.placeCopies(key, bytes, 1)[0] as string; // One copy is one node.
  }

  placeCopies(key: string, bytes: number, count: number): string[] {
    checkCopies(count, this.#bins.length);
    this.#shareFor(count);
    this.#bytes += bytes * count;
    const limit = loadBound * Math.max(this.#bytes, this.#totalBytesLeast);
    const keyHash = hashText(key);
    const chosen = new Set<Bin>();
    while (chosen.size < count) {
      const hasRoom = (bin: Bin): boolean => !chosen.has(bin) && bin.bytes < limit * bin.share;
      const bin = shortestLot(keyHash, this.#bins, hasRoom) ?? this.#leastFull(chosen);
      bin.bytes += bytes;
      chosen.add(bin);
    }
    return [...chosen].map(({ id }) => id);
  }

  #shareFor(copies: number): void {
    if (copies === this.#copies) return;
    this.#copies = copies;
    const shares = sharesOf(this.#bins, copies);
    for (const [at, bin] of this.#bins.entries()) bin.share = shares[at] ?? 0;
  }

  #leastFull(chosen: ReadonlySet<Bin>): Bin {
    let least: Bin | undefined;
    for (const bin of this.#bins) {
      if (chosen.has(bin)) continue;
      if (least === undefined || isLessFull(bin, least)) least = bin;
    }
    return least as Bin; // There are as many nodes as copies.
  }
}

/** The id decides between two of the same fill. */
function isLessFull(a: Bin, b: Bin): boolean {
  const difference = a.bytes / a.share - b.bytes / b.share;
  return difference < 0 || (difference === 0 && a.id < b.id);
}
