import type { Env } from '../base/env.js';
import { isPaipaiError } from '../base/errors.js';
import {
  type Assignment,
  Balancer,
  type BalancingStrategy,
  type TaskOutcome,
  type TaskSpread,
} from '../cluster/balancing/balancer.js';
import type { NetNodes } from './net-nodes.js';

/** Who gets the next message that any node may take. Each strategy keeps books of its own, so that what they come to can be compared. */
export class MessageBalance {
  readonly #env: Env;
  readonly #nodes: NetNodes;
  readonly #balancers = new Map<BalancingStrategy, Balancer>();

  constructor(env: Env, nodes: NetNodes) {
    this.#env = env;
    this.#nodes = nodes;
  }

  /** Runs `work` for the node that the strategy says. @throws PaipaiError PAIPAI_ERR_NODE_LOST when none is there; what `work` fails with. */
  async run<T>(strategy: BalancingStrategy, work: (nodeId: string) => Promise<T>): Promise<T> {
    const assignment = this.#assign(strategy);
    try {
      const result = await work(assignment.nodeId);
      assignment.end('done');
      return result;
    } catch (thrown) {
      assignment.end(outcomeOf(thrown));
      throw thrown;
    }
  }

  /** How the messages of a strategy have spread over the nodes that are there. @throws PaipaiError PAIPAI_ERR_NODE_LOST when none is. */
  spread(strategy: BalancingStrategy): TaskSpread {
    return this.#balancerOf(strategy).spread(this.#nodes.takers());
  }

  forget(nodeId: string): void {
    for (const balancer of this.#balancers.values()) balancer.forget(nodeId);
  }

  #assign(strategy: BalancingStrategy): Assignment {
    const balancer = this.#balancerOf(strategy);
    const nodes = this.#nodes.takers();
    for (const { id } of strategy === 'cpuLoad' ? nodes : []) {
      const load = this.#nodes.cpuLoadOf(id);
      if (load !== undefined) balancer.reportCpuLoad(id, load);
    }
    return balancer.assign(nodes);
  }

  #balancerOf(strategy: BalancingStrategy): Balancer {
    let balancer = this.#balancers.get(strategy);
    if (balancer === undefined) {
      balancer = new Balancer(strategy, this.#env);
      this.#balancers.set(strategy, balancer);
    }
    return balancer;
  }
}

/** A deadline and an abort say only that the node needed longer than this. */
function outcomeOf(thrown: unknown): TaskOutcome {
  const isCallers =
    isPaipaiError(thrown, 'PAIPAI_ERR_ABORTED') || isPaipaiError(thrown, 'PAIPAI_ERR_DEADLINE');
  return isCallers ? 'cancelled' : 'failed';
}
