import type { NodeLoad } from './node-load.js';
import { PeakEwma } from './peak-ewma.js';

/**
 * How a task ended. `failed` is the node's fault and doubles its latency, since else a node that refuses at once would look like
 * the fastest; `cancelled` is the caller's, and says only that the node needed longer than this.
 */
export type TaskOutcome = 'done' | 'failed' | 'cancelled';

/** A failure counts at least as much, so that it shows beside latencies of microseconds. */
const failureMsLeast = 10;
/** However often a node fails, it is tried again: from here its latency falls to a thousandth in 35 s. */
const failureMsMax = 60_000;

/** A figure that came with gossip is believed for this long. */
const cpuLoadMsMax = 30_000;

/** What is written down about one node, from when it is first heard of. */
export class NodeBook {
  readonly #latency = new PeakEwma();
  readonly #sinceMs: number;
  #tasks = 0;
  #inFlight = 0;
  /** ∫ in flight dt, up to `#summedMs`. */
  #inFlightMs = 0;
  #summedMs: number;
  #cpuLoad = 0;
  #cpuLoadMs = -Infinity;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
    this.#summedMs = nowMs;
  }

  begin(nowMs: number): void {
    this.#sumUp(nowMs);
    this.#tasks++;
    this.#inFlight++;
  }

  end(outcome: TaskOutcome, startMs: number, nowMs: number): void {
    this.#sumUp(nowMs);
    this.#inFlight--;
    const tookMs = Math.max(0, nowMs - startMs);
    if (outcome === 'done') this.#latency.add(tookMs, nowMs);
    else if (outcome === 'cancelled') this.#latency.addAtLeast(tookMs, nowMs);
    else this.#latency.addAtLeast(this.#failureMs(tookMs, nowMs), nowMs);
  }

  #failureMs(tookMs: number, nowMs: number): number {
    const doubled = Math.max(failureMsLeast, 2 * this.#latency.valueAt(nowMs));
    return Math.max(tookMs, Math.min(doubled, failureMsMax));
  }

  cpuLoadAt(nowMs: number, load: number): void {
    this.#cpuLoad = Math.min(1, Math.max(0, load));
    this.#cpuLoadMs = nowMs;
  }

  loadAt(id: string, weight: number, nowMs: number): NodeLoad {
    const isRecent = nowMs - this.#cpuLoadMs <= cpuLoadMsMax;
    return {
      id,
      weight,
      inFlight: this.#inFlight,
      latency: this.#latency,
      cpuLoad: isRecent ? this.#cpuLoad : undefined,
    };
  }

  /** Tasks so far, and how many of them were in flight on the average of all this time. */
  tasksAt(nowMs: number): { tasks: number; inFlightMean: number } {
    this.#sumUp(nowMs);
    const ms = nowMs - this.#sinceMs;
    return {
      tasks: this.#tasks,
      inFlightMean: ms > 0 ? this.#inFlightMs / ms : this.#inFlight,
    };
  }

  #sumUp(nowMs: number): void {
    this.#inFlightMs += this.#inFlight * Math.max(0, nowMs - this.#summedMs);
    this.#summedMs = nowMs;
  }
}
