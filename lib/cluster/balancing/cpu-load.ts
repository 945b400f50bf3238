import type { Chooser, NodeLoad } from './node-load.js';

/** A node that says it is full gets this part of the tasks of an idle one: its figure may be old, and all may be full. */
const idleLeast = 0.02;

/**
 * Each node at random, in proportion to its weight and to the part of its CPUs that was idle when it last said so. The figures
 * come with gossip and are seconds old: to take the least loaded one would send everything to one node until it says that it is full.
 * Who has not said anything lately counts as the average of those who have.
 */
export const cpuLoad: Chooser = (nodes, { draw }) => {
  const known = nodes.flatMap(({ cpuLoad }) => (cpuLoad === undefined ? [] : [cpuLoad]));
  const average = known.length === 0 ? 0 : known.reduce((sum, load) => sum + load) / known.length;
  const chances = nodes.map(
    ({ cpuLoad, weight }) => weight * Math.max(idleLeast, 1 - (cpuLoad ?? average)),
  );
  let left = draw() * chances.reduce((sum, chance) => sum + chance);
  for (const [at, chance] of chances.entries()) {
    left -= chance;
    if (left < 0) return nodes[at] as NodeLoad;
  }
  return nodes.at(-1) as NodeLoad; // Rounding can leave a trace behind the last.
};
