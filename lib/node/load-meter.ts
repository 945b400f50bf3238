import type { Clock, Timer, Timers } from '../base/env.js';
import { PeakEwma } from '../cluster/balancing/peak-ewma.js';
import type { NodeLoadFigures } from '../cluster/membership/metadata.js';

export interface LoadMeterOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** CPU time that the process has taken so far, in milliseconds. */
  readonly cpuMs: () => number;
  /** CPUs that it may use. */
  readonly cpuCount: number;
  readonly storedBytes: () => number;
}

/**
 * How often the net hears of the load of a node at most. Each time costs some 100 bytes to and from each member, so it is about as much as
 * a probe.
 */
const tellMsEvery = 5_000;

/** What a node has to do, as it tells its net. */
export class LoadMeter {
  readonly #options: LoadMeterOptions;
  readonly #latency = new PeakEwma();
  #inFlight = 0;
  #cpuMs: number;
  #atMs: number;
  #told: NodeLoadFigures | undefined;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: LoadMeterOptions) {
    this.#options = options;
    this.#cpuMs = options.cpuMs();
    this.#atMs = options.clock.nowMs();
  }

  /** Counts `work` for a client as long as it takes. */
  async during<T>(work: () => T | Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const startMs = clock.nowMs();
    this.#inFlight++;
    try {
      return await work();
    } finally {
      this.#inFlight--;
      const nowMs = clock.nowMs();
      this.#latency.add(nowMs - startMs, nowMs);
    }
  }

  /** The share of the CPUs is that since the last look. */
  figures(): NodeLoadFigures {
    const { clock, cpuMs, cpuCount, storedBytes } = this.#options;
    const nowMs = clock.nowMs();
    const takenMs = cpuMs();
    const mostMs = (nowMs - this.#atMs) * cpuCount;
    const cpu = mostMs > 0 ? Math.min(1, Math.max(0, (takenMs - this.#cpuMs) / mostMs)) : 0;
    this.#cpuMs = takenMs;
    this.#atMs = nowMs;
    const latencyMs = this.#latency.valueAt(nowMs);
    return { inFlight: this.#inFlight, latencyMs, cpu, storedBytes: storedBytes() };
  }

  /** Calls `tell` every few seconds when the figures have moved, until `stop`. */
  start(tell: (load: NodeLoadFigures) => void): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.timers.after(tellMsEvery, () => {
      const figures = this.figures();
      if (this.#told === undefined || hasMoved(this.#told, figures)) {
        this.#told = figures;
        tell(figures);
      }
      this.start(tell);
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }
}

/** By more than noise: a node at rest says nothing. */
function hasMoved(before: NodeLoadFigures, now: NodeLoadFigures): boolean {
  return (
    Math.abs(now.cpu - before.cpu) > 0.1 ||
    differ(before.inFlight, now.inFlight, 4) ||
    differ(before.latencyMs, now.latencyMs, 5) ||
    differ(before.storedBytes, now.storedBytes, 1024 * 1024)
  );
}

/** By a fifth, and by more than `least`. */
function differ(before: number, now: number, least: number): boolean {
  return Math.abs(now - before) > Math.max(least, Math.max(before, now) / 5);
}
