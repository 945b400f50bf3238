import { type Deferred, deferred } from '../base/deferred.js';
import type { Env, Timer } from '../base/env.js';
import { isPaipaiError, PaipaiError, toError } from '../base/errors.js';
import type { Operation } from '../cluster/transfer/operation.js';

/** After the first failure others may still come to theirs: a wrong function mostly fails on all nodes, and each error says where. */
const graceMs = 100;

/**
 * What is under way for one job on all of its nodes. The first failure lets nothing new begin; it ends the operation when nothing is under
 * way any more, or a moment later, with the errors of all that failed until then.
 */
export class Crew {
  readonly #env: Env;
  readonly #operation: Operation;
  readonly #errors: Error[] = [];
  #count = 0;
  #idle: Deferred<void> | undefined;
  #timer: Timer | undefined;

  constructor(env: Env, operation: Operation) {
    this.#env = env;
    this.#operation = operation;
  }

  /** Nothing new should begin. */
  get isStopping(): boolean {
    return this.#errors.length > 0 || this.#operation.hasFailed;
  }

  /** Has `work` under way; more can be started from within it. */
  start(work: () => Promise<void>): void {
    this.#count++;
    void work()
      .catch((thrown: unknown) => this.#fail(thrown))
      .finally(() => {
        this.#count--;
        if (this.#count > 0) return;
        if (this.#errors.length > 0) this.#end();
        this.#idle?.resolve();
        this.#idle = undefined;
      });
  }

  /** Settles when nothing is under way. @throws what the operation has failed with. */
  async idle(): Promise<void> {
    if (this.#count > 0) {
      this.#idle ??= deferred();
      await this.#idle.promise;
    }
    this.#operation.throwIfFailed();
  }

  #fail(thrown: unknown): void {
    // Whatever fails from then on is an echo.
    if (this.#operation.hasFailed) return;
    this.#errors.push(toError(thrown));
    this.#timer ??= this.#env.timers.after(graceMs, () => this.#end());
  }

  #end(): void {
    this.#timer?.cancel();
    this.#operation.fail(failureOf(this.#errors));
  }
}

/** One failure as it is; of several the first, with all of them as its cause. */
export function failureOf(errors: readonly Error[]): Error | undefined {
  const [first] = errors;
  if (errors.length < 2 || !isPaipaiError(first)) return first;
  const { code, message, nodeId, dataId, shardIndex, handler } = first;
  // Nodes that refuse an old shard map may have heard of different ones: the latest counts.
  const mapVersion = errors.reduce(
    (latest, error) => Math.max(latest, (isPaipaiError(error) && error.mapVersion) || 0),
    0,
  );
  return new PaipaiError(code, `${message} (and ${errors.length - 1} more)`, {
    cause: new AggregateError(errors),
    ...(nodeId === undefined ? {} : { nodeId }),
    ...(dataId === undefined ? {} : { dataId }),
    ...(shardIndex === undefined ? {} : { shardIndex }),
    ...(handler === undefined ? {} : { handler }),
    ...(mapVersion === 0 ? {} : { mapVersion }),
  });
}
