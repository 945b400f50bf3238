import type { Chooser, NodeLoad } from './node-load.js';

/**
 * The better of two nodes drawn at random, by the latency that a new task would meet: the average so far, times the tasks it would
 * share the node with, by weight. Two choices come close to the best of all, at the price of two looks, and those who choose at the
 * same time on the same figures do not all run to the same node (Mitzenmacher, "The Power of Two Choices in Randomized Load
 * Balancing", IEEE TPDS 12(10), 2001).
 */
export const p2cEwma: Chooser = (nodes, { draw, nowMs }) => {
  const at = Math.floor(draw() * nodes.length);
  const one = nodes[at] as NodeLoad; // A draw is below 1.
  if (nodes.length === 1) return one;
  // One of the others: a step of 1 to n - 1 around the circle.
  const step = 1 + Math.floor(draw() * (nodes.length - 1));
  const other = nodes[(at + step) % nodes.length] as NodeLoad;
  const costs = [costOf(one, nowMs), costOf(other, nowMs)] as const;
  if (costs[0] === costs[1]) return other.inFlight < one.inFlight ? other : one;
  return costs[0] < costs[1] ? one : other;
};

function costOf({ latency, inFlight, weight }: NodeLoad, nowMs: number): number {
  // A node of unknown latency is tried with one task, and the others wait for what becomes of it.
  if (!latency.isKnown) return inFlight === 0 ? 0 : Infinity;
  return (latency.valueAt(nowMs) * (inFlight + 1)) / weight;
}
