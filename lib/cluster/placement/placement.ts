import { invalidArgument } from '../../base/check.js';
import { PaipaiError } from '../../base/errors.js';
import type { ShardCut } from '../../data/shard.js';
import { BoundedRendezvousPlacement } from './bounded-rendezvous.js';
import { RendezvousPlacement } from './rendezvous.js';
import { RoundRobinPlacement } from './round-robin.js';
import type { Placement, PlacementNode } from './strategy.js';
import { WeightedPlacement } from './weighted.js';

export type { Placement, PlacementNode } from './strategy.js';

export type PlacementStrategy = 'boundedRendezvous' | 'rendezvous' | 'roundRobin' | 'weighted';
export const placementStrategies: readonly PlacementStrategy[] = [
  'boundedRendezvous',
  'rendezvous',
  'roundRobin',
  'weighted',
];

/** Nodes that one placement chooses from; each choice may look at all of them. */
const nodesMax = 65_536;

export interface PlannedShard extends ShardCut {
  /** One for each copy, the preferred one first. */
  readonly nodeIds: readonly string[];
}

/**
 * Decides for each shard which of `nodes` (1 or more, unique ids, weights above 0) gets it.
 * @param totalBytes of all that will be placed, copies included, where it is known; strategies that bound the load use it
 */
export function createPlacement(
  strategy: PlacementStrategy,
  nodes: readonly PlacementNode[],
  totalBytes?: number,
): Placement {
  checkNodes(nodes);
  // Whoever knows the same nodes comes to the same result, in whichever order it has heard of them.
  const inOrder = [...nodes].sort((a, b) => (a.id < b.id ? -1 : 1));
  switch (strategy) {
    case 'boundedRendezvous':
      return new BoundedRendezvousPlacement(inOrder, totalBytes);
    case 'rendezvous':
      return new RendezvousPlacement(inOrder);
    case 'roundRobin':
      return new RoundRobinPlacement(inOrder);
    case 'weighted':
      return new WeightedPlacement(inOrder);
    default:
      throw invalidArgument('placement', placementStrategies.join(', '), strategy);
  }
}

/** The key under which a shard is placed. */
export function shardKey(dataId: string, index: number): string {
  return `${dataId}/${index}`;
}

/** Places `cuts` one after the other, each with `copies` (1 to all nodes). */
export function planShards(
  dataId: string,
  cuts: Iterable<ShardCut>,
  placement: Placement,
  copies: number,
): PlannedShard[] {
  const plan: PlannedShard[] = [];
  for (const { index, offset, bytes } of cuts) {
    const nodeIds = placement.placeCopies(shardKey(dataId, index), bytes, copies);
    plan.push({ index, offset, bytes, nodeIds });
  }
  return plan;
}

function checkNodes(nodes: readonly PlacementNode[]): void {
  if (nodes.length < 1 || nodes.length > nodesMax) {
    throw invalidArgument('nodes', `1 to ${nodesMax} nodes`, nodes.length);
  }
  const ids = new Set<string>();
  for (const { id, weight } of nodes) {
    if (!Number.isFinite(weight) || weight <= 0) {
      throw invalidArgument(`weight of node ${id}`, 'a finite number above 0', weight);
    }
    if (ids.has(id)) {
      throw new PaipaiError('PAIPAI_ERR_DUPLICATE_ID', `Two nodes have the id ${id}.`, {
        nodeId: id,
      });
    }
    ids.add(id);
  }
}
