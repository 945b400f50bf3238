import type { Lease } from './lease.js';
import type { Turn } from './queue.js';

/** A lock that is held, by one at a time over the whole net. */
export class Lock {
  readonly name: string;
  /**
   * Higher than that of all who held this lock before. Give it along with what you change under the lock, so that whoever keeps it can refuse
   * a lower one: a process that stood still does not know that its time is over.
   */
  readonly token: number;
  readonly #lease: Lease;

  constructor(name: string, { lease, token }: Turn) {
    this.name = name;
    this.token = token;
    this.#lease = lease;
  }

  /** How long it lasts when nothing is heard of its holder. */
  get ttlMs(): number {
    return this.#lease.ttlMs;
  }

  /** Fires when it is not held any more: with PAIPAI_ERR_LEASE_LOST as its reason, or _CLOSED when it was released. */
  get signal(): AbortSignal {
    return this.#lease.signal;
  }

  /** False before anybody else can have it. */
  get isHeld(): boolean {
    return this.#lease.isHeld;
  }

  /** The next one gets it. Where the coordinator cannot be told, when `ttlMs` are over. Idempotent; it never fails. */
  release(): Promise<void> {
    return this.#lease.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
