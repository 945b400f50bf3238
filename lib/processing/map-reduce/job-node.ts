import type { Clock } from '../../base/env.js';
import type { NodeLink } from '../../cluster/transfer/node-link.js';
import type { NodePhase, PhaseReport } from './report.js';

/** What one node has done in one phase. */
export class PhaseCount {
  bytes = 0;
  tasks = 0;
  timeMs = 0;

  add(bytes: number, timeMs: number): void {
    this.bytes += bytes;
    this.tasks++;
    this.timeMs += timeMs;
  }

  /** Takes back what a task has added that does not count any more; its time was spent all the same. */
  remove(bytes: number): void {
    this.bytes -= bytes;
    this.tasks--;
  }
}

/** A node, as the client of one job sees it. */
export class JobNode {
  readonly link: NodeLink;
  /** How many tasks it works on at once. */
  readonly workers: number;
  /** It went away, and takes no part in the job any more. */
  isLost = false;
  /** Requests to it that wait for their answers. */
  underWay = 0;
  readonly map: PhaseCount = new PhaseCount();
  readonly shuffle: PhaseCount = new PhaseCount();
  readonly reduce: PhaseCount = new PhaseCount();
  emittedBytes = 0;
  spilledBytes = 0;

  constructor(link: NodeLink, workers: number) {
    this.link = link;
    this.workers = workers;
  }

  /** While it works, the next task is already there. */
  get hasRoom(): boolean {
    return !this.isLost && this.underWay <= this.workers;
  }
}

/** When a phase began and ended. */
export class PhaseTime {
  readonly #clock: Clock;
  #firstMs: number | undefined;
  #lastMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Returns the time that `work` took. */
  async measure(work: () => Promise<void>): Promise<number> {
    const startMs = this.#clock.nowMs();
    this.#firstMs ??= startMs;
    await work();
    this.#lastMs = this.#clock.nowMs();
    return this.#lastMs - startMs;
  }

  get wallMs(): number {
    return this.#firstMs === undefined ? 0 : Math.max(0, this.#lastMs - this.#firstMs);
  }
}

export function phaseReport(
  nodes: readonly JobNode[],
  phase: 'map' | 'shuffle' | 'reduce',
  time: PhaseTime,
): PhaseReport {
  const perNode: NodePhase[] = nodes.map((node) => {
    const { bytes, tasks, timeMs } = node[phase];
    return { nodeId: node.link.nodeId, bytes, tasks, timeMs };
  });
  return {
    bytes: perNode.reduce((sum, { bytes }) => sum + bytes, 0),
    tasks: perNode.reduce((sum, { tasks }) => sum + tasks, 0),
    sumMs: perNode.reduce((sum, { timeMs }) => sum + timeMs, 0),
    wallMs: time.wallMs,
    perNode,
  };
}
