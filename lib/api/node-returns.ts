import type { Env, Timer } from '../base/env.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Operation } from '../cluster/transfer/operation.js';
import type { Returns } from '../cluster/transfer/transfer-data.js';

export interface ReturnsOptions {
  readonly env: Env;
  /** How long a node is waited for at most, from when somebody first does; 0: nobody waits. */
  readonly patienceMs: number;
  /** An embedded node has nobody who would start it again. */
  readonly isRemote: (nodeId: string) => boolean;
  readonly linkOf: (nodeId: string) => NodeLink | undefined;
}

/** Nodes that went away while work needs them. */
export class NodeReturns implements Returns {
  readonly #options: ReturnsOptions;
  /** By node, what ends each wait. */
  readonly #waits = new Map<string, Set<() => void>>();
  /** By node, when nobody waits for it any longer. */
  readonly #dueMs = new Map<string, number>();

  constructor(options: ReturnsOptions) {
    this.#options = options;
  }

  isAwaited(nodeId: string): boolean {
    return this.#options.patienceMs > 0 && this.#options.isRemote(nodeId);
  }

  linkOf(nodeId: string): NodeLink | undefined {
    return this.#options.linkOf(nodeId);
  }

  back(nodeId: string): void {
    const waits = this.#waits.get(nodeId);
    this.#waits.delete(nodeId);
    this.#dueMs.delete(nodeId);
    for (const end of waits ?? []) end();
  }

  /** Settles when the node is back; with false when it is not in time, or the operation failed meanwhile. */
  wait(nodeId: string, { signal }: Operation): Promise<boolean> {
    const { env, patienceMs } = this.#options;
    if (this.linkOf(nodeId) !== undefined) return Promise.resolve(true);
    const nowMs = env.clock.nowMs();
    const dueMs = this.#dueMs.get(nodeId) ?? nowMs + patienceMs;
    this.#dueMs.set(nodeId, dueMs);
    if (dueMs <= nowMs || signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waits = this.#waits.get(nodeId) ?? new Set();
      this.#waits.set(nodeId, waits);
      let timer: Timer | undefined;
      const finish = (isBack: boolean): void => {
        timer?.cancel();
        waits.delete(end);
        signal.removeEventListener('abort', give);
        resolve(isBack);
      };
      const end = (): void => finish(true);
      const give = (): void => finish(false);
      timer = env.timers.after(dueMs - nowMs, give, { keepAlive: true });
      waits.add(end);
      signal.addEventListener('abort', give, { once: true });
    });
  }
}
