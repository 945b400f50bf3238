import type { PeakEwma } from './peak-ewma.js';

/** A node that could take the next task. A node of twice the weight (above 0) is worth two. */
export interface BalancedNode {
  readonly id: string;
  readonly weight: number;
}

/** What is known of a node when the next task is given away. */
export interface NodeLoad extends BalancedNode {
  /** Tasks that were given to it and have not ended. */
  readonly inFlight: number;
  readonly latency: PeakEwma;
  /** Busy part of its CPUs, 0 to 1, as it has said lately; undefined when it has not. */
  readonly cpuLoad: number | undefined;
}

/** A strategy finds one of `nodes` (1 or more, by ascending id) for the next task; it changes none of them. */
export type Chooser = (nodes: readonly NodeLoad[], moment: Moment) => NodeLoad;

export interface Moment {
  /** Of a clock that never goes back. */
  readonly nowMs: number;
  /** The next random number, in [0, 1). */
  draw(): number;
  /** The id of the node that was chosen last, '' at first. */
  readonly lastId: string;
}

/** The first of `nodes` behind `lastId` in the circle of ids. */
export function nextInTurn(nodes: readonly NodeLoad[], lastId: string): NodeLoad {
  return nodes.find(({ id }) => id > lastId) ?? (nodes[0] as NodeLoad); // There is one.
}
