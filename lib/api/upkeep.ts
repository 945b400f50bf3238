import type { Env, Timer } from '../base/env.js';

export interface UpkeepOptions {
  readonly env: Env;
  /** Quiet time, in which no node came or went, before it begins. */
  readonly afterMs: number;
  /** Rebalances until `signal` fires; it reports by itself, and never fails. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/** Rebalances in the background when nodes came or went: once it has become quiet, and once more when they did so meanwhile. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  #timer: Timer | undefined;
  /** Of the run under way. */
  #running: AbortController | undefined;
  #isWanted = false;
  #isStopped = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  /** A node came or went. */
  poke(): void {
    if (this.#isStopped) return;
    this.#isWanted = true;
    this.#timer?.cancel();
    const { env, afterMs } = this.#options;
    this.#timer = env.timers.after(afterMs, () => void this.#run());
  }

  /** Somebody rebalances in the foreground, and does not wait for this, which begins anew later. */
  giveWay(): void {
    if (this.#running === undefined) return;
    this.#running.abort();
    this.poke();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#running?.abort();
  }

  async #run(): Promise<void> {
    if (this.#running !== undefined || this.#isStopped) return;
    this.#running = new AbortController();
    this.#isWanted = false;
    await this.#options.run(this.#running.signal);
    this.#running = undefined;
    if (this.#isWanted) this.poke();
  }
}
