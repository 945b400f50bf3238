/** How evenly an amount (bytes, tasks) spreads over nodes, each measured by the share that its weight promises. */
export interface Spread {
  /** w_i = amount / total, in the order of the nodes; all 0 without an amount. Otherwise they sum to 1. */
  readonly weights: readonly number[];
  /** Fullest node against the mean, each measured by its own share: 1 is even. */
  readonly maxToMean: number;
  /** Jain's index of the amounts by share: 1 is even, 1 / N is all on one node. (Jain, Chiu and Hawe 1984.) */
  readonly fairness: number;
}

/** @param nodes amount (0 or more) and weight (above 0) of each; 1 or more. Without an amount the spread is even. */
export function spreadOf(
  nodes: readonly { readonly amount: number; readonly weight: number }[],
): Spread {
  const total = nodes.reduce((sum, { amount }) => sum + amount, 0);
  if (total === 0) return { weights: nodes.map(() => 0), maxToMean: 1, fairness: 1 };
  const weightSum = nodes.reduce((sum, { weight }) => sum + weight, 0);
  // Amount by promised amount: 1 is a node that has just its share, and their mean by weight is 1 as well.
  const relative = nodes.map(({ amount, weight }) => ((amount / total) * weightSum) / weight);
  const sum = relative.reduce((total, each) => total + each, 0);
  const squares = relative.reduce((total, each) => total + each * each, 0);
  return {
    weights: nodes.map(({ amount }) => amount / total),
    maxToMean: Math.max(...relative),
    fairness: (sum * sum) / (nodes.length * squares),
  };
}
