import { setMaxListeners } from 'node:events';
import { PaipaiError } from '../../base/errors.js';
import type { ResultOf, Task } from '../worker-messages.js';
import type { WorkerPool } from '../worker-pool.js';
import type { OpenRequest } from './messages.js';
import { partitionOf } from './partition.js';
import { partOfRun, type Run } from './run-writer.js';
import { type Segment, ShuffleSpace } from './shuffle-space.js';

/** Tables beyond this would come near the largest heap of a worker (`WorkerPoolOptions.heapMiBMax`). */
const tableBytesMost = 256 * 1024 * 1024;

/**
 * One job on one node: where its bytes are, and what its tasks have put out.
 *
 *   memoryBytes of the job   | half: tables of groups, shared among the workers | half: segments of the space |
 */
export class NodeJob {
  readonly request: OpenRequest;
  readonly space: ShuffleSpace;
  /** For the table of each worker. */
  readonly tableBytesMax: number;
  /** Of the hash of those tables: the id of a job is drawn by chance. */
  readonly seed: number;
  readonly #pool: WorkerPool;
  readonly #stop = new AbortController();
  readonly #outputs = new Map<number, readonly Run[]>();
  readonly #uses = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /** @throws PaipaiError PAIPAI_ERR_STORE_FAILED. */
  constructor(request: OpenRequest, pool: WorkerPool) {
    this.request = request;
    this.#pool = pool;
    setMaxListeners(0, this.#stop.signal); // One for each task.
    const half = Math.floor(request.memoryBytes / 2);
    this.tableBytesMax = Math.min(tableBytesMost, Math.floor(half / pool.size));
    this.seed = partitionOf(request.jobId, 2 ** 31);
    this.space = ShuffleSpace.open(half);
  }

  /** Keeps the job's file open until `work` has settled. @throws PaipaiError PAIPAI_ERR_INVALID_STATE when the job is over. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw jobClosed();
    const use = work();
    this.#uses.add(use);
    try {
      return await use;
    } finally {
      this.#uses.delete(use);
    }
  }

  /** Has a worker do it. Fails as `WorkerPool.run`, and with PAIPAI_ERR_ABORTED when `signal` fires or the job is closed. */
  async run<T extends Task>(
    task: T,
    signal: AbortSignal,
    onReleased: () => void = () => {},
  ): Promise<ResultOf<T>> {
    const stop = new AbortController();
    const onAbort = (): void => stop.abort();
    const causes = [signal, this.#stop.signal];
    for (const cause of causes) {
      if (cause.aborted) onAbort();
      cause.addEventListener('abort', onAbort, { once: true });
    }
    // A worker uses the file as long as it is at the task, which may be longer than somebody waits for the task.
    let release!: () => void;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#uses.add(released);
    try {
      return await this.#pool.run(task, {
        deadlineMs: Infinity, // The caller's signal fires then.
        signal: stop.signal,
        onReleased: () => {
          this.#uses.delete(released);
          release();
          onReleased();
        },
      });
    } finally {
      for (const cause of causes) cause.removeEventListener('abort', onAbort);
    }
  }

  /** The output of a task, in place of what an earlier one of the same id has put out. */
  put(taskId: number, runs: readonly Run[]): void {
    this.#drop(taskId);
    this.#outputs.set(taskId, runs);
  }

  /** Drops all output but that of `tasks`. @throws PaipaiError PAIPAI_ERR_INVALID_STATE when one of them has none. */
  seal(tasks: readonly number[]): void {
    const counted = new Set(tasks);
    for (const taskId of [...this.#outputs.keys()]) {
      if (!counted.has(taskId)) this.#drop(taskId);
    }
    if (this.#outputs.size === counted.size) return;
    throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'a task that counts has no output here');
  }

  /** What the tasks have for a partition. */
  *segmentsOf(partition: number): Generator<Segment> {
    for (const runs of this.#outputs.values()) {
      for (const run of runs) {
        const part = partOfRun(run, partition);
        if (part.byteLength > 0) yield part;
      }
    }
  }

  /** Stops what is under way, and settles when nothing is left of the job. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    while (this.#uses.size > 0) await Promise.allSettled(this.#uses);
    this.#outputs.clear();
    this.space.close();
  }

  #drop(taskId: number): void {
    const runs = this.#outputs.get(taskId) ?? [];
    this.#outputs.delete(taskId);
    this.space.release(runs.map(({ segment }) => segment));
  }
}

export function jobClosed(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'this node has no such job, or it is over');
}
