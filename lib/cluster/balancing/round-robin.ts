import { type Chooser, nextInTurn } from './node-load.js';

/** Each node in turn by its id, whatever its weight and load: what others are measured against. */
export const roundRobin: Chooser = (nodes, { lastId }) => nextInTurn(nodes, lastId);
