import { fractionOf, type Hash64, hashPair, hashText } from './hash.js';
import type { PlacementNode } from './strategy.js';

/** A node that draws a lot for each key. */
export interface Drawer extends PlacementNode {
  readonly hash: Hash64;
}

export function drawersOf(nodes: readonly PlacementNode[]): Drawer[] {
  return nodes.map(({ id, weight }) => ({ id, weight, hash: hashText(id) }));
}

/**
 * Who draws the shortest lot for `key` among those that `mayWin`; undefined when nobody may.
 *
 * Of u uniform in (0, 1), -ln(u) / w is exponential with the rate w: the shortest of them is node i's with the probability
 * w_i / Σ w, and what the others drew does not matter to it.
 */
export function shortestLot<T extends Drawer>(
  key: Hash64,
  drawers: readonly T[],
  mayWin: (drawer: T) => boolean,
): T | undefined {
  let winner: T | undefined;
  let shortest = Infinity;
  for (const drawer of drawers) {
    if (!mayWin(drawer)) continue;
    const lot = -Math.log(fractionOf(hashPair(key, drawer.hash))) / drawer.weight;
    // The id decides a draw, so that the order of the nodes never does.
    if (winner === undefined || lot < shortest || (lot === shortest && drawer.id < winner.id)) {
      shortest = lot;
      winner = drawer;
    }
  }
  return winner;
}
