import type { Env, Timer } from '../../base/env.js';
import { isPaipaiError, toError } from '../../base/errors.js';
import { type Backoff, backoffDelayMs } from './backoff.js';

/** Refusals that trying again does not change. */
const finalCodes: ReadonlySet<string> = new Set([
  'PAIPAI_ERR_SECRET',
  'PAIPAI_ERR_NET_NAME',
  'PAIPAI_ERR_VERSION_MISMATCH',
]);

/** Makes the next connection after one was lost. */
export class Redial {
  readonly #env: Env;
  readonly #backoff: Backoff;
  readonly #dial: (signal: AbortSignal) => Promise<void>;
  readonly #onGivenUp: (error: Error) => void;
  /** Since a connection last stood for `backoffMsMax`. */
  #attempts = 0;
  #connectedMs: number;
  #timer: Timer | null = null;
  #dueMs = 0;
  #keepAlive = true;
  /** Of the attempt under way. */
  #controller: AbortController | null = null;
  #isStopped = false;

  /**
   * Begins with a connection that stands.
   * @param dial settles when the connection stands, or fails with why not
   * @param onGivenUp called once, with what the last attempt failed with
   */
  constructor(
    env: Env,
    backoff: Backoff,
    dial: (signal: AbortSignal) => Promise<void>,
    onGivenUp: (error: Error) => void,
  ) {
    this.#env = env;
    this.#backoff = backoff;
    this.#dial = dial;
    this.#onGivenUp = onGivenUp;
    this.#connectedMs = env.clock.nowMs();
  }

  /** A connection stands. */
  connected(): void {
    this.#connectedMs = this.#env.clock.nowMs();
  }

  /** The connection was lost, with `error`. */
  start(error: Error): void {
    const stoodMs = this.#env.clock.nowMs() - this.#connectedMs;
    if (stoodMs >= this.#backoff.backoffMsMax) this.#attempts = 0;
    this.#next(error);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = null;
    this.#controller?.abort();
  }

  /** Whether waiting for the next attempt keeps the process alive. */
  setKeepAlive(keepAlive: boolean): void {
    this.#keepAlive = keepAlive;
    if (this.#timer === null) return;
    this.#timer.cancel();
    this.#wait(Math.max(0, this.#dueMs - this.#env.clock.nowMs()));
  }

  #next(error: Error): void {
    if (this.#isStopped) return;
    if (this.#attempts >= this.#backoff.attemptsMax || isFinal(error)) {
      this.#isStopped = true;
      this.#onGivenUp(error);
      return;
    }
    const delayMs = backoffDelayMs(this.#backoff, this.#attempts, this.#env.random);
    this.#attempts++;
    this.#dueMs = this.#env.clock.nowMs() + delayMs;
    this.#wait(delayMs);
  }

  #wait(delayMs: number): void {
    const options = { keepAlive: this.#keepAlive };
    this.#timer = this.#env.timers.after(delayMs, () => void this.#try(), options);
  }

  async #try(): Promise<void> {
    this.#timer = null;
    this.#controller = new AbortController();
    try {
      await this.#dial(this.#controller.signal);
    } catch (thrown) {
      this.#next(toError(thrown));
    }
  }
}

function isFinal(error: Error): boolean {
  return isPaipaiError(error) && finalCodes.has(error.code);
}
