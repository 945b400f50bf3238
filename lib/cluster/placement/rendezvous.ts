import { checkCopies } from './check-copies.js';
import { hashText } from './hash.js';
import { type Drawer, drawersOf, shortestLot } from './lots.js';
import type { Placement, PlacementNode } from './strategy.js';

/**
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998; with weights: Schindelhauer and Schomaker 2005). Each node draws
 * a lot for each key, and the shortest wins; nobody keeps a table. The same key goes to the same node wherever and whenever
 * it is asked, a joining node takes only what it wins, and a leaving one gives up only its own. Shares come out as chance has it:
 * of k shards a node with the share s gets s·k, give or take √(s·k).
 */
export class RendezvousPlacement implements Placement {
  readonly #drawers: readonly Drawer[];

  constructor(nodes: readonly PlacementNode[]) {
    this.#drawers = drawersOf(nodes);
  }

  place(key: string): string {
    return (shortestLot(hashText(key), this.#drawers, anyone) as Drawer).id; // There is one.
  }

  placeCopies(key: string, _bytes: number, count: number): string[] {
    checkCopies(count, this.#drawers.length);
    return this.ranked(key, count);
  }

  /**
   * The ids of the `count` nodes with the shortest lots, shortest first; of all when there are fewer. When one of them leaves, the
   * others keep their order and the next one moves up.
   */
  ranked(key: string, count: number): string[] {
    const keyHash = hashText(key);
    const winners = new Set<Drawer>();
    while (winners.size < count) {
      const next = shortestLot(keyHash, this.#drawers, (drawer) => !winners.has(drawer));
      if (next === undefined) break;
      winners.add(next);
    }
    return [...winners].map(({ id }) => id);
  }
}

function anyone(): boolean {
  return true;
}
