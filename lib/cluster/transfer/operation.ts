import { setMaxListeners } from 'node:events';
import { deferred } from '../../base/deferred.js';
import type { Env, Timer } from '../../base/env.js';
import { PaipaiError, toError } from '../../base/errors.js';

export interface OperationOptions {
  /** Milliseconds from now; Infinity is none. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Of whoever changes data; 0: it has none. Undefined: it changes nothing of what they are. */
  readonly token?: number | undefined;
}

/**
 * One long piece of work over several nodes, which ends as a whole: at its deadline, by its caller, or with the first failure of
 * any part. Parts watch `signal` and call `fail`; whoever started it calls `throwIfFailed` at the end, and `close` always.
 */
export class Operation {
  readonly #env: Env;
  readonly #endMs: number;
  readonly #stop = new AbortController();
  readonly #callerSignal: AbortSignal | undefined;
  readonly #onCallerAbort: () => void;
  readonly #timer: Timer | undefined;
  readonly #closed = deferred<void>();
  #error: Error | undefined;
  readonly token: number | undefined;

  /** @param what opens the messages: "transfer of data 7" */
  constructor(env: Env, what: string, { deadlineMs, signal, token }: OperationOptions) {
    this.token = token;
    this.#env = env;
    this.#endMs = env.clock.nowMs() + deadlineMs;
    setMaxListeners(0, this.#stop.signal); // Every part that waits for room listens.
    this.#callerSignal = signal;
    this.#onCallerAbort = () =>
      this.fail(
        new PaipaiError('PAIPAI_ERR_ABORTED', `${what} was aborted`, { cause: signal?.reason }),
      );
    this.#timer =
      deadlineMs === Infinity
        ? undefined
        : env.timers.after(deadlineMs, () =>
            this.fail(
              new PaipaiError(
                'PAIPAI_ERR_DEADLINE',
                `${what} did not finish within ${deadlineMs} ms`,
              ),
            ),
          );
    signal?.addEventListener('abort', this.#onCallerAbort, { once: true });
    if (signal?.aborted === true) this.#onCallerAbort();
  }

  /** Fires at the end of the operation that is not its success. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Settles with `close`; it never rejects. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get hasFailed(): boolean {
    return this.#error !== undefined;
  }

  /** Milliseconds to the deadline, at least 1. */
  remainingMs(): number {
    return Math.max(1, this.#endMs - this.#env.clock.nowMs());
  }

  /** Ends the operation with `thrown`; the first one counts, the others are its echoes. */
  fail(thrown: unknown): void {
    if (this.#error !== undefined) return;
    this.#error = toError(thrown);
    this.#stop.abort(this.#error);
  }

  throwIfFailed(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  /** `work`, unless the operation fails before it settles. */
  race<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const onFailure = (): void => reject(this.#error);
      const finish = (): void => this.signal.removeEventListener('abort', onFailure);
      this.signal.addEventListener('abort', onFailure, { once: true });
      if (this.hasFailed) onFailure();
      work.then(resolve, reject).finally(finish);
    });
  }

  close(): void {
    this.#timer?.cancel();
    this.#callerSignal?.removeEventListener('abort', this.#onCallerAbort);
    this.#closed.resolve();
  }
}
