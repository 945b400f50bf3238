import type { Env } from '../../base/env.js';
import { pause } from '../../base/pause.js';

/** Lets bytes through at a rate, one after the other; nothing is saved up while nobody asks. */
export class Pace {
  readonly #env: Env;
  readonly #bytesPerMs: number;
  #freeMs = 0;

  /** @param bytesPerSecond above 0; Infinity: without a limit */
  constructor(env: Env, bytesPerSecond: number) {
    this.#env = env;
    this.#bytesPerMs = bytesPerSecond / 1_000;
  }

  /** Settles when `bytes` may go; at once when `signal` fires. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#env.clock.nowMs();
    const startMs = Math.max(this.#freeMs, nowMs);
    this.#freeMs = startMs + bytes / this.#bytesPerMs;
    if (startMs > nowMs) await pause(this.#env.timers, startMs - nowMs, signal);
  }
}
