import { spreadOf } from '../spread.js';
import type { BalancedNode } from './node-load.js';

export interface NodeTasks {
  readonly nodeId: string;
  readonly tasks: number;
  /** w_i = tasks / all tasks. Those of all nodes sum to 1. */
  readonly weight: number;
  /** Tasks that it had in flight, averaged over time. */
  readonly inFlightMean: number;
}

export interface TaskSpread {
  readonly totalTasks: number;
  /** In the order of the nodes, those without a task included. */
  readonly perNode: readonly NodeTasks[];
  /** Busiest node against the mean, each measured by its own share: 1 is even. */
  readonly maxToMean: number;
  /** Jain's index of tasks by share: 1 is even, 1 / N is all on one node. */
  readonly fairness: number;
  /** Tasks in flight, averaged over time and then over the nodes. */
  readonly meanLoad: number;
  /**
   * Total requests / mean load; 0 without a load. The better of two ways to give the same tasks away in the same time is the one with
   * the larger figure: its tasks lay about for less time. (By Little's law it is the nodes times the time over the mean latency.)
   */
  readonly tasksPerLoad: number;
}

export function taskSpreadOf(
  nodes: readonly (BalancedNode & { readonly tasks: number; readonly inFlightMean: number })[],
): TaskSpread {
  const { weights, maxToMean, fairness } = spreadOf(
    nodes.map(({ tasks, weight }) => ({ amount: tasks, weight })),
  );
  const totalTasks = nodes.reduce((sum, { tasks }) => sum + tasks, 0);
  const meanLoad = nodes.reduce((sum, { inFlightMean }) => sum + inFlightMean, 0) / nodes.length;
  return {
    totalTasks,
    perNode: nodes.map(({ id, tasks, inFlightMean }, at) => ({
      nodeId: id,
      tasks,
      weight: weights[at] ?? 0,
      inFlightMean,
    })),
    maxToMean,
    fairness,
    meanLoad,
    tasksPerLoad: meanLoad === 0 ? 0 : totalTasks / meanLoad,
  };
}
