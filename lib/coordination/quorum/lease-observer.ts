import type { Env, Timer } from '../../base/env.js';
import type { TableLease } from './table.js';

export interface LeaseObserverOptions {
  /** How many others should have ended a lease before this node does: so not all of them propose it at once. */
  readonly patience: number;
  /** Ends the lease, unless it was kept alive meanwhile. */
  readonly expire: (leaseId: number, keeps: number) => Promise<unknown>;
}

interface Observed extends TableLease {
  readonly sinceMs: number;
}

const lookMs = 50;
const patienceMs = 500;
/** A timer that comes so much too late tells of a process that stood still. */
const standstillMs = 1_000;

/**
 * Ends leases that nobody keeps alive. No clock of another machine is asked: a lease is over for this node when it has seen the same count of keeps
 * for its whole time, by its own clock, and that began after the call that made it so.
 */
export class LeaseObserver {
  readonly #env: Pick<Env, 'clock' | 'timers'>;
  readonly #options: LeaseObserverOptions;
  readonly #observed = new Map<number, Observed>();
  #timer: Timer | undefined;
  #lookedAtMs = 0;
  #isClosed = false;

  constructor(env: Pick<Env, 'clock' | 'timers'>, options: LeaseObserverOptions) {
    this.#env = env;
    this.#options = options;
  }

  /** What the table has, agreed on or not. */
  see(leases: ReadonlyMap<number, TableLease>): void {
    const nowMs = this.#env.clock.nowMs();
    for (const leaseId of this.#observed.keys()) {
      if (!leases.has(leaseId)) this.#observed.delete(leaseId);
    }
    for (const [leaseId, lease] of leases) {
      if (this.#observed.get(leaseId)?.keeps === lease.keeps) continue;
      this.#observed.set(leaseId, { ...lease, sinceMs: nowMs });
    }
    if (this.#observed.size > 0 && this.#timer === undefined) {
      this.#lookedAtMs = nowMs;
      this.#lookLater();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    this.#timer = this.#env.timers.after(lookMs, () => void this.#look());
  }

  /** It never rejects. */
  async #look(): Promise<void> {
    const nowMs = this.#env.clock.nowMs();
    if (nowMs - this.#lookedAtMs > standstillMs) {
      for (const [leaseId, lease] of this.#observed) {
        this.#observed.set(leaseId, { ...lease, sinceMs: nowMs });
      }
    }
    this.#lookedAtMs = nowMs;
    const waitMs = this.#options.patience * patienceMs;
    const over = [...this.#observed].filter(
      ([, { ttlMs, sinceMs }]) => nowMs - sinceMs >= ttlMs + waitMs,
    );
    // One after the other would hold up the others; what fails is tried at the next look.
    await Promise.all(
      over.map(([leaseId, { keeps }]) => this.#options.expire(leaseId, keeps).catch(() => {})),
    );
    this.#lookedAtMs = this.#env.clock.nowMs();
    if (this.#observed.size > 0) this.#lookLater();
    else this.#timer = undefined;
  }
}
