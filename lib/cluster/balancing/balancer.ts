import { checkOneOf, invalidArgument } from '../../base/check.js';
import type { Clock, Random } from '../../base/env.js';
import { cpuLoad } from './cpu-load.js';
import { leastInFlight } from './least-in-flight.js';
import { NodeBook, type TaskOutcome } from './node-book.js';
import type { BalancedNode, Chooser } from './node-load.js';
import { p2cEwma } from './p2c-ewma.js';
import { roundRobin } from './round-robin.js';
import { type TaskSpread, taskSpreadOf } from './task-spread.js';

export type { TaskOutcome } from './node-book.js';
export type { BalancedNode } from './node-load.js';
export type { TaskSpread } from './task-spread.js';

export type BalancingStrategy = 'cpuLoad' | 'leastInFlight' | 'p2cEwma' | 'roundRobin';
export const balancingStrategies: readonly BalancingStrategy[] = [
  'cpuLoad',
  'leastInFlight',
  'p2cEwma',
  'roundRobin',
];

const choosers: Readonly<Record<BalancingStrategy, Chooser>> = {
  cpuLoad,
  leastInFlight,
  p2cEwma,
  roundRobin,
};

/** One task on its node. */
export interface Assignment {
  readonly nodeId: string;
  /** Once, whatever became of the task; later calls change nothing. */
  end(outcome: TaskOutcome): void;
}

/**
 * Who gets the next task or request: a choice among nodes that are alive, made anew each time. (Where data lie is another question,
 * and `Placement` answers it.) It knows what its own caller has under way, and what nodes say of themselves.
 */
export class Balancer {
  readonly #chooser: Chooser;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #books = new Map<string, NodeBook>();
  #lastId = '';

  /** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT for an unknown strategy. */
  constructor(strategy: BalancingStrategy, env: { clock: Clock; random: Random }) {
    this.#chooser = choosers[checkOneOf('strategy', strategy, balancingStrategies)];
    this.#clock = env.clock;
    this.#random = env.random;
  }

  /**
   * Gives the next task to one of `nodes`: 1 or more with unique ids and weights above 0, those that are alive and can do it. Their
   * order does not matter.
   * @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT without a node.
   */
  assign(nodes: readonly BalancedNode[]): Assignment {
    if (nodes.length === 0) throw invalidArgument('nodes', 'one node or more', 'none');
    const startMs = this.#clock.nowMs();
    const loads = byId(nodes).map(({ id, weight }) => this.#bookOf(id).loadAt(id, weight, startMs));
    const { id } = this.#chooser(loads, {
      nowMs: startMs,
      draw: () => this.#random.next(),
      lastId: this.#lastId,
    });
    this.#lastId = id;
    const book = this.#bookOf(id);
    book.begin(startMs);
    let isOver = false;
    return {
      nodeId: id,
      end: (outcome) => {
        if (isOver) return;
        isOver = true;
        book.end(outcome, startMs, this.#clock.nowMs());
      },
    };
  }

  /** What a node says of itself: the busy part of its CPUs, 0 to 1. It counts for 30 s. */
  reportCpuLoad(nodeId: string, load: number): void {
    this.#bookOf(nodeId).cpuLoadAt(this.#clock.nowMs(), load);
  }

  /** Forgets a node that has left. Tasks it still has end without a trace. */
  forget(nodeId: string): void {
    this.#books.delete(nodeId);
  }

  /** How the tasks given away so far spread over `nodes`, 1 or more. */
  spread(nodes: readonly BalancedNode[]): TaskSpread {
    const nowMs = this.#clock.nowMs();
    return taskSpreadOf(
      nodes.map(({ id, weight }) => ({ id, weight, ...this.#bookOf(id).tasksAt(nowMs) })),
    );
  }

  #bookOf(nodeId: string): NodeBook {
    let book = this.#books.get(nodeId);
    if (book === undefined) {
      book = new NodeBook(this.#clock.nowMs());
      this.#books.set(nodeId, book);
    }
    return book;
  }
}

/** By ascending id. Mostly they are already, and then nothing is sorted. */
function byId(nodes: readonly BalancedNode[]): readonly BalancedNode[] {
  const isSorted = nodes.every(({ id }, at) => at === 0 || (nodes[at - 1]?.id ?? '') < id);
  return isSorted ? nodes : [...nodes].sort((a, b) => (a.id < b.id ? -1 : 1));
}
