import { type Chooser, nextInTurn } from './node-load.js';

/**
 * The node that would have the fewest tasks in flight by its weight, the new one included. Of several, the next in turn: else the
 * first by id would do all the work of a net that is mostly idle. A slow node keeps its tasks longer, and so gets fewer.
 */
export const leastInFlight: Chooser = (nodes, { lastId }) => {
  const fills = nodes.map(({ inFlight, weight }) => (inFlight + 1) / weight);
  const least = Math.min(...fills);
  return nextInTurn(
    nodes.filter((_, at) => fills[at] === least),
    lastId,
  );
};
