const samplesMax = 4_000_000;

export interface Percentiles {
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
}

/** Of durations in milliseconds, which are sorted in their place; 0 where there are none. */
export function percentiles(durationsMs: Float64Array): Percentiles {
  durationsMs.sort();
  const at = (part: number): number =>
    (durationsMs[Math.floor(durationsMs.length * part)] ?? 0) * 1e3;
  return { p50Microseconds: at(0.5), p99Microseconds: at(0.99) };
}

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

  facts(): Percentiles {
    return percentiles(this.#samples.subarray(0, this.#count));
  }
}
