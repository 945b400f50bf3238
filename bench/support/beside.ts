import { stat } from 'node:fs';
import { percentiles } from './latencies.js';
import type { Facts } from './types.js';

const timerMs = 1;

/** What else a process does meanwhile, from when this is made until `end`: timers of 1 ms, each followed by an `fs.stat`. */
export class Beside {
  readonly #timersMs: number[] = [];
  readonly #statMs: number[] = [];
  #isOver = false;

  constructor() {
    this.#next();
  }

  #next(): void {
    const startMs = performance.now();
    setTimeout(() => {
      const timerEndMs = performance.now();
      this.#timersMs.push(timerEndMs - startMs);
      stat(process.execPath, (error) => {
        if (error !== null) throw error;
        this.#statMs.push(performance.now() - timerEndMs);
        if (!this.#isOver) this.#next();
      });
    }, timerMs);
  }

  end(): Facts {
    this.#isOver = true;
    // A timer's own resolution is 1 ms, so what counts is how far durations lie from the usual one.
    const usualMs = percentiles(Float64Array.from(this.#timersMs)).p50Microseconds / 1e3;
    const jitter = percentiles(Float64Array.from(this.#timersMs, (ms) => Math.abs(ms - usualMs)));
    const stats = percentiles(Float64Array.from(this.#statMs));
    return {
      besideCount: this.#statMs.length,
      jitterP50Microseconds: jitter.p50Microseconds,
      jitterP99Microseconds: jitter.p99Microseconds,
      statP50Microseconds: stats.p50Microseconds,
      statP99Microseconds: stats.p99Microseconds,
    };
  }
}
