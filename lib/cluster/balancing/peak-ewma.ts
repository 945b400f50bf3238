/** How fast old latencies are forgotten: after this long a value counts 1 / e of what it did. */
const decayMs = 5_000;

/**
 * A latency that rises at once and falls slowly: an exponentially weighted moving average in which each sample weighs by the
 * time since the one before it, and one above the average replaces it. One slow answer is enough to be wary; trust comes back with
 * time, and also while nothing is asked, so that a node that was slow once is tried again.
 *
 * (The idea is that of Finagle's "peak EWMA" load metric.)
 */
export class PeakEwma {
  #valueMs = 0;
  #atMs = Number.NaN;

  /** Whether there has been a sample. */
  get isKnown(): boolean {
    return !Number.isNaN(this.#atMs);
  }

  /** Milliseconds, 0 or more; 0 without a sample. */
  valueAt(nowMs: number): number {
    return this.isKnown ? this.#valueMs * this.#keptAt(nowMs) : 0;
  }

  /** @param sampleMs 0 or more */
  add(sampleMs: number, nowMs: number): void {
    const kept = this.isKnown ? this.#keptAt(nowMs) : 0;
    this.#valueMs = Math.max(sampleMs, this.#valueMs * kept + sampleMs * (1 - kept));
    this.#atMs = nowMs;
  }

  /** A sample that is known to be too low: it can raise the value, never lower it. */
  addAtLeast(sampleMs: number, nowMs: number): void {
    if (sampleMs > this.valueAt(nowMs)) this.add(sampleMs, nowMs);
  }

  #keptAt(nowMs: number): number {
    return Math.exp(-Math.max(0, nowMs - this.#atMs) / decayMs);
  }
}
