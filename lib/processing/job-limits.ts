import { PaipaiError } from '../base/errors.js';
import { ByteWindow } from '../cluster/transfer/byte-window.js';
import type { JobLimit } from './messages.js';

/** A part of a job that waits for its turns. */
export interface Turns {
  /**
   * Settles when one more of the job may run, with what gives the turn back.
   * @throws PaipaiError PAIPAI_ERR_ABORTED when `signal` fires before.
   */
  take(signal: AbortSignal): Promise<() => void>;
  /** After the last one was taken. */
  leave(): void;
}

interface Running {
  readonly window: ByteWindow;
  /** Requests, and turns that were not given back: a handler may go on for a moment when its request has ended. */
  users: number;
}

const unlimited: Turns = { take: async () => () => {}, leave() {} };

/** How many shards of each job of one client are worked on at once, over all of its requests. */
export class JobLimits {
  readonly #jobs = new Map<string, Running>();

  enter(limit: JobLimit | undefined): Turns {
    if (limit === undefined) return unlimited;
    const { jobId, concurrency } = limit;
    const job = this.#jobs.get(jobId) ?? {
      window: new ByteWindow(Infinity, concurrency),
      users: 0,
    };
    this.#jobs.set(jobId, job);
    const leave = (): void => {
      if (--job.users === 0) this.#jobs.delete(jobId);
    };
    job.users++;
    return {
      async take(signal) {
        if (!(await job.window.acquire(0, signal))) {
          throw new PaipaiError('PAIPAI_ERR_ABORTED', 'the task was aborted');
        }
        job.users++;
        return () => {
          job.window.release(0);
          leave();
        };
      },
      leave,
    };
  }
}
