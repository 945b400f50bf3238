import { checkCopies } from './check-copies.js';
import type { Placement, PlacementNode } from './strategy.js';

/** Each node in turn, whatever its weight: with N nodes the counts of shards differ by at most 1. */
export class RoundRobinPlacement implements Placement {
  readonly #ids: readonly string[];
  #turn = 0;

  constructor(nodes: readonly PlacementNode[]) {
    this.#ids = nodes.map((node) => node.id);
  }

  place(): string {
    const id = this.#ids[this.#turn] as string; // `#turn` stays below the length.
    this.#turn = (this.#turn + 1) % this.#ids.length;
    return id;
  }

  placeCopies(_key: string, _bytes: number, count: number): string[] {
    checkCopies(count, this.#ids.length);
    return Array.from({ length: count }, () => this.place());
  }
}
