const samplesMax = 4_000_000;

/** Durations between one answer and the next. */
export class Latencies {
  readonly #samples: Float64Array = new Float64Array(samplesMax);
  #count = 0;
  #lastMs = 0;

  /** The first duration begins now; those before are forgotten. */
  start(): void {
    this.#count = 0;
    this.#lastMs = performance.now();
  }

  /** One duration ends and the next begins. Beyond the room for samples none are kept. */
  lap(): void {
    const nowMs = performance.now();
    if (this.#count < samplesMax) this.#samples[this.#count++] = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
  }

  facts(): { p50Microseconds: number; p99Microseconds: number } {
    const sorted = this.#samples.subarray(0, this.#count).sort();
    const at = (part: number): number => (sorted[Math.floor(this.#count * part)] ?? 0) * 1e3;
    return { p50Microseconds: at(0.5), p99Microseconds: at(0.99) };
  }
}
