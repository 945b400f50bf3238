import { Worker } from 'node:worker_threads';
import { type Deferred, deferred } from '../base/deferred.js';
import type { Env, Timer } from '../base/env.js';
import { PaipaiError, toError } from '../base/errors.js';
import type {
  FromWorker,
  HandlerInfo,
  ResultOf,
  Task,
  TaskFailure,
  ToWorker,
} from './worker-messages.js';

export interface WorkerPoolOptions {
  readonly env: Env;
  /** The file that a worker starts with; it calls `serveTasks`. CommonJS, for a worker may be ended while it loads (rolldown.config.js). */
  readonly entry: URL;
  /** Handed to the entry as `workerData`. */
  readonly workerData: unknown;
  /** Most workers at once, at least 1. They start when there is work for them. */
  readonly size: number;
  /** Largest heap of one worker in MiB; a handler that needs more loses its worker, not its node. Default 1,024. */
  readonly heapMiBMax?: number;
  /** Tasks that wait or run before PAIPAI_ERR_OVERLOADED. Default 65,536. */
  readonly tasksMax?: number;
}

export interface TaskOptions {
  /** Milliseconds from now; Infinity is none. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /**
   * Called once, when no worker touches any more what the task names: with the end of the task, but later than the caller is told where a
   * worker had to be terminated.
   */
  readonly onReleased?: () => void;
}

interface Job extends Deferred<ResultOf<Task>> {
  readonly id: number;
  readonly task: Task;
  readonly onReleased: () => void;
  slot: Slot | undefined;
}

/** One worker and what it is at. */
interface Slot {
  readonly worker: Worker;
  readonly ready: Deferred<readonly HandlerInfo[]>;
  isReady: boolean;
  job: Job | undefined;
  /** The caller of `job` was told already; the worker has until this timer to come back. */
  grace: Timer | undefined;
}

/** How long a handler may take to notice its `signal` before its worker is terminated. */
const graceMs = 100;
/** Time to load the module of handlers. */
const loadMsMax = 10_000;

/**
 * Worker threads that run handlers, one task each at a time; the rest waits in order. A worker that does not come back at the
 * deadline is terminated, and one that dies takes only its own task along; the next task gets a new one.
 */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #tasksMax: number;
  readonly #slots = new Set<Slot>();
  readonly #ending = new Set<Promise<unknown>>();
  readonly #queue: Job[] = [];
  #taskCount = 0;
  #lastId = 0;
  #handlers: ReadonlyMap<string, HandlerInfo> | undefined;
  #isClosed = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#tasksMax = options.tasksMax ?? 65_536;
  }

  get size(): number {
    return this.#options.size;
  }

  /**
   * The handlers that the workers have, by name. Starts the first worker when none has run yet.
   * @throws PaipaiError PAIPAI_ERR_HANDLER_MODULE when the module cannot be loaded.
   */
  async handlers(): Promise<ReadonlyMap<string, HandlerInfo>> {
    if (this.#handlers === undefined) {
      this.#checkOpen();
      const [slot = this.#startWorker()] = this.#slots;
      const infos = await slot.ready.promise;
      this.#handlers ??= new Map(infos.map((info) => [info.name, info]));
    }
    return this.#handlers;
  }

  /**
   * Fails: PAIPAI_ERR_HANDLER_FAILED, _HANDLER_RESULT, _HANDLER_UNKNOWN, _HANDLER_MODULE, _DEADLINE, _ABORTED, _OVERLOADED, _CLOSED.
   * The shards of a task are not touched after the promise settled, but by a handler that ignores its signal, for 100 ms.
   */
  async run<T extends Task>(task: T, options: TaskOptions): Promise<ResultOf<T>> {
    const { deadlineMs, signal, onReleased = () => {} } = options;
    try {
      this.#checkOpen();
      if (signal.aborted) throw aborted(task);
      if (this.#taskCount >= this.#tasksMax) {
        throw new PaipaiError(
          'PAIPAI_ERR_OVERLOADED',
          `${this.#tasksMax} tasks are waiting already`,
        );
      }
    } catch (thrown) {
      onReleased();
      throw thrown;
    }
    const job: Job = {
      ...deferred<ResultOf<Task>>(),
      id: ++this.#lastId,
      task,
      onReleased,
      slot: undefined,
    };
    const onAbort = (): void => this.#giveUp(job, aborted(task));
    const timer =
      deadlineMs === Infinity
        ? undefined
        : this.#options.env.timers.after(Math.max(0, deadlineMs), () =>
            this.#giveUp(job, deadlinePassed(task, deadlineMs)),
          );
    signal.addEventListener('abort', onAbort, { once: true });
    this.#taskCount++;
    this.#queue.push(job);
    try {
      this.#dispatch();
      return (await job.promise) as ResultOf<T>; // A worker answers a task with the result of its kind.
    } finally {
      this.#taskCount--;
      timer?.cancel();
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Rejects what waits or runs with PAIPAI_ERR_CLOSED; settles when every worker has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const closed = new PaipaiError('PAIPAI_ERR_CLOSED', 'the pool of workers was closed');
    for (const job of this.#queue.splice(0)) {
      job.reject(closed);
      job.onReleased();
    }
    for (const slot of this.#slots) this.#endWorker(slot, closed);
    await Promise.all(this.#ending);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new PaipaiError('PAIPAI_ERR_CLOSED', 'the pool of workers is closed');
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      let slot: Slot | undefined;
      try {
        slot = this.#freeSlot();
      } catch (thrown) {
        // Workers that run already take on what waits; without any, nobody would.
        if (this.#slots.size > 0) return;
        for (const job of this.#queue.splice(0)) {
          job.reject(thrown);
          job.onReleased();
        }
        return;
      }
      const job = slot === undefined ? undefined : this.#queue.shift();
      if (slot === undefined || job === undefined) return;
      slot.job = job;
      job.slot = slot;
      if (slot.isReady) this.#post(slot, job);
    }
  }

  #freeSlot(): Slot | undefined {
    for (const slot of this.#slots) if (slot.job === undefined) return slot;
    return this.#slots.size < this.#options.size ? this.#startWorker() : undefined;
  }

  #post(slot: Slot, job: Job): void {
    slot.worker.postMessage({ kind: 'task', id: job.id, task: job.task } satisfies ToWorker);
  }

  #startWorker(): Slot {
    const { entry, workerData, heapMiBMax = 1_024, env } = this.#options;
    let worker: Worker;
    try {
      worker = new Worker(entry, {
        workerData,
        resourceLimits: { maxOldGenerationSizeMb: heapMiBMax },
      });
    } catch (cause) {
      throw new PaipaiError(
        'PAIPAI_ERR_HANDLER_FAILED',
        `no worker can be started: ${toError(cause).message}`,
        { cause },
      );
    }
    const ready = deferred<readonly HandlerInfo[]>();
    ready.promise.catch(() => {}); // Whoever waits for it hears it; the job of the slot is told apart.
    const slot: Slot = { worker, ready, isReady: false, job: undefined, grace: undefined };
    this.#slots.add(slot);
    const loadTimer = env.timers.after(loadMsMax, () =>
      this.#endWorker(
        slot,
        moduleFailed(`the module of handlers did not load within ${loadMsMax} ms`),
      ),
    );
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'ready' || message.kind === 'unready') loadTimer.cancel();
      this.#onMessage(slot, message);
    });
    worker.on('error', (error: Error) => {
      loadTimer.cancel();
      this.#endWorker(slot, workerDied(slot, `: ${error.message}`));
    });
    worker.on('exit', (exitCode) => {
      loadTimer.cancel();
      this.#endWorker(slot, workerDied(slot, ` with exit code ${exitCode}`));
    });
    return slot;
  }

  #onMessage(slot: Slot, message: FromWorker): void {
    switch (message.kind) {
      case 'ready':
        slot.isReady = true;
        slot.ready.resolve(message.handlers);
        if (slot.job !== undefined) this.#post(slot, slot.job);
        return;
      case 'unready':
        this.#endWorker(slot, moduleFailed(message.message));
        return;
      case 'done':
        this.#finish(slot, (job) => job.resolve(message.result));
        break;
      case 'failed':
        this.#finish(slot, (job) => job.reject(errorOfFailure(message.failure)));
        break;
    }
    this.#dispatch();
  }

  #release(slot: Slot): Job | undefined {
    const { job } = slot;
    slot.grace?.cancel();
    slot.grace = undefined;
    slot.job = undefined;
    return job;
  }

  #finish(slot: Slot, settle: (job: Job) => void): void {
    const job = this.#release(slot);
    if (job === undefined) return;
    settle(job);
    job.onReleased();
  }

  /** Tells the caller now; the worker gets a moment to notice, then it is terminated. */
  #giveUp(job: Job, error: PaipaiError): void {
    job.reject(error);
    const { slot } = job;
    if (slot === undefined) {
      const position = this.#queue.indexOf(job);
      if (position < 0) return;
      this.#queue.splice(position, 1);
      job.onReleased();
      return;
    }
    if (slot.job !== job || slot.grace !== undefined) return;
    if (!slot.isReady) {
      slot.job = undefined;
      job.onReleased();
      this.#dispatch();
      return;
    }
    slot.worker.postMessage({ kind: 'abort', id: job.id } satisfies ToWorker);
    slot.grace = this.#options.env.timers.after(graceMs, () => this.#endWorker(slot, error));
  }

  /** Terminates the worker and fails what it was at; idempotent. */
  #endWorker(slot: Slot, error: PaipaiError): void {
    if (!this.#slots.delete(slot)) return;
    slot.ready.reject(error);
    const job = this.#release(slot);
    job?.reject(error);
    const ending = slot.worker.terminate();
    this.#ending.add(ending);
    void ending.finally(() => {
      this.#ending.delete(ending);
      job?.onReleased();
    });
    if (!this.#isClosed) this.#dispatch();
  }
}

function aborted(task: Task): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_ABORTED',
    `handler '${task.handler}' was aborted by its caller`,
  );
}

function deadlinePassed(task: Task, deadlineMs: number): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_DEADLINE',
    `handler '${task.handler}' did not finish within ${Math.round(deadlineMs)} ms`,
  );
}

function moduleFailed(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_HANDLER_MODULE', why);
}

function workerDied(slot: Slot, how: string): PaipaiError {
  if (!slot.isReady)
    return moduleFailed(`the module of handlers ended its worker while it was loaded${how}`);
  const handler = slot.job === undefined ? 'a handler' : `handler '${slot.job.task.handler}'`;
  return new PaipaiError('PAIPAI_ERR_HANDLER_FAILED', `${handler} ended its worker${how}`);
}

function errorOfFailure({ code, message, ...details }: TaskFailure): PaipaiError {
  return new PaipaiError(code, message, details);
}
