import type { PlacementNode } from './strategy.js';

/** Against the heaviest node. No share may round to 0, since a node is measured by it. */
const weightLeast = 1e-300;

/**
 * What part of all bytes each node shall have, in the order of `nodes`: above 0, and together 1. It is in proportion to the weights,
 * but none has more than 1 / `copies` (1 to the number of nodes), since two copies of a shard never lie on one node; the rest goes to
 * the others in proportion to theirs.
 */
export function sharesOf(nodes: readonly PlacementNode[], copies: number): number[] {
  // Heaviest first: once a share is not cut, none of the lighter ones is. The id keeps rounding apart from the order of the nodes.
  const order = [...nodes.keys()].sort((a, b) => heavierFirst(nodes[a]!, nodes[b]!));
  // Divided first, so that a sum of huge weights stays finite.
  const heaviest = nodes[order[0] ?? 0]?.weight ?? 1;
  const weights = nodes.map(({ weight }) => Math.max(weight / heaviest, weightLeast));
  let left = 1;
  let weightLeft = order.reduceRight((sum, at) => sum + weights[at]!, 0);
  const shares = new Array<number>(nodes.length);
  for (const [rank, at] of order.entries()) {
    const isCut = (left * weights[at]!) / weightLeft > 1 / copies;
    shares[at] = isCut ? 1 / copies : (left * weights[at]!) / weightLeft;
    if (!isCut) continue;
    left -= 1 / copies;
    weightLeft = order.slice(rank + 1).reduceRight((sum, lighter) => sum + weights[lighter]!, 0);
  }
  return shares;
}

function heavierFirst(a: PlacementNode, b: PlacementNode): number {
  return b.weight - a.weight || (a.id < b.id ? -1 : 1);
}
