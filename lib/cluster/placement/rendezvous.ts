import { fractionOf, type Hash64, hashPair, hashText } from './hash.js';
import type { Placement, PlacementNode } from './strategy.js';

/**
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998; with weights: Schindelhauer and Schomaker 2005). Each node draws
 * a lot for each key, and the longest wins; nobody keeps a table. The same key goes to the same node wherever and whenever
 * it is asked, a joining node takes only what it wins, and a leaving one gives up only its own. Shares come out as chance has it:
 * of k shards a node with the share s gets s·k, give or take √(s·k).
 */
export class RendezvousPlacement implements Placement {
  readonly #nodes: readonly { id: string; weight: number; hash: Hash64 }[];

  constructor(nodes: readonly PlacementNode[]) {
    this.#nodes = nodes.map(({ id, weight }) => ({ id, weight, hash: hashText(id) }));
  }

  place(key: string): string {
    const keyHash = hashText(key);
    let winner = '';
    let shortest = Infinity;
    for (const { id, weight, hash } of this.#nodes) {
      // -ln(u) / w is exponential with the rate w: the smallest of them is node i's with the probability w_i / Σ w.
      const time = -Math.log(fractionOf(hashPair(keyHash, hash))) / weight;
      // The id decides a draw, so that the order of the nodes never does.
      if (time < shortest || (time === shortest && id < winner)) {
        shortest = time;
        winner = id;
      }
    }
    return winner;
  }
}
