import type { Env, Timer } from '../base/env.js';
import { isPaipaiError, PaipaiError, toError } from '../base/errors.js';
import type { CallOptions, Coordinator } from './coordinator.js';

/** How often in its time a lease is kept alive, so that it survives two calls in a row that fail. */
const keepsPerTtl = 3;
/** What a call that failed waits for before the next one, in parts of the time of the lease. */
const retriesPerTtl = 10;
/**
 * The part of its time that a lease lasts here. Clocks of two machines do not run alike, and timers come late, so its holder stops before anybody else
 * may begin.
 */
const ownPart = 0.9;
/** For what is told to a coordinator while nobody waits for it any longer. */
const partingMs = 1_000;

/**
 * A lease that is kept alive until it is released, or lost. It counts nine tenths of its time from before each call that has kept it alive, so it is
 * over here before it is at the coordinator, whatever the network does; a process that stood still finds it lost when it goes on.
 */
export class Lease {
  readonly leaseId: number;
  readonly ttlMs: number;
  /** Fires when the lease is over: with PAIPAI_ERR_LEASE_LOST as its reason, or _CLOSED when it was released. */
  readonly signal: AbortSignal;
  readonly #env: Pick<Env, 'clock' | 'timers'>;
  readonly #coordinator: Coordinator;
  readonly #over = new AbortController();
  #endsAtMs: number;
  #keepTimer: Timer | undefined;
  #endTimer: Timer | undefined;
  #releasing: Promise<void> | undefined;

  private constructor(
    env: Pick<Env, 'clock' | 'timers'>,
    coordinator: Coordinator,
    { leaseId, ttlMs, startMs }: { leaseId: number; ttlMs: number; startMs: number },
  ) {
    this.leaseId = leaseId;
    this.ttlMs = ttlMs;
    this.signal = this.#over.signal;
    this.#env = env;
    this.#coordinator = coordinator;
    this.#endsAtMs = startMs + ttlMs * ownPart;
    this.#watchEnd();
    this.#keepIn(ttlMs / keepsPerTtl);
  }

  /** Fails as `Coordinator.grantLease`; with PAIPAI_ERR_LEASE_LOST when the answer came after its end. */
  static async grant(
    env: Pick<Env, 'clock' | 'timers'>,
    coordinator: Coordinator,
    ttlMs: number,
    options?: CallOptions,
  ): Promise<Lease> {
    const startMs = env.clock.nowMs();
    const granted = await coordinator.grantLease(ttlMs, options);
    const lease = new Lease(env, coordinator, { ...granted, startMs });
    lease.throwIfOver();
    return lease;
  }

  /** False from the moment on when another may have what goes with the lease. */
  get isHeld(): boolean {
    if (this.signal.aborted) return false;
    if (this.#env.clock.nowMs() < this.#endsAtMs) return true;
    // The timer that says so has not come yet.
    this.#end(this.#lost());
    return false;
  }

  /** @throws PaipaiError PAIPAI_ERR_LEASE_LOST, PAIPAI_ERR_CLOSED. */
  throwIfOver(): void {
    if (!this.isHeld) throw this.signal.reason;
  }

  /**
   * Ends it, and deletes its keys; where the coordinator cannot be asked, they go when its time is over. Idempotent; it never fails, and takes a
   * second at most.
   */
  release(): Promise<void> {
    this.#releasing ??= this.#release();
    return this.#releasing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  async #release(): Promise<void> {
    this.#end(new PaipaiError('PAIPAI_ERR_CLOSED', `lease ${this.leaseId} was released`));
    await this.#coordinator.revokeLease(this.leaseId, { deadlineMs: partingMs }).catch(() => {}); // It ends by itself.
  }

  #watchEnd(): void {
    this.#endTimer?.cancel();
    const leftMs = Math.max(0, this.#endsAtMs - this.#env.clock.nowMs());
    this.#endTimer = this.#env.timers.after(leftMs, () => {
      if (this.isHeld) this.#watchEnd(); // Timers may come a little early.
    });
  }

  #keepIn(delayMs: number): void {
    this.#keepTimer = this.#env.timers.after(delayMs, () => void this.#keep());
  }

  /** It never rejects. */
  async #keep(): Promise<void> {
    if (!this.isHeld) return;
    const startMs = this.#env.clock.nowMs();
    try {
      await this.#coordinator.keepLease(this.leaseId, {
        deadlineMs: this.#endsAtMs - startMs,
        signal: this.signal,
      });
      if (!this.isHeld) return;
      this.#endsAtMs = startMs + this.ttlMs * ownPart;
      this.#watchEnd();
      this.#keepIn(this.ttlMs / keepsPerTtl);
    } catch (thrown) {
      if (!this.isHeld) return;
      const isLost = isPaipaiError(thrown) && thrown.code === 'PAIPAI_ERR_LEASE_LOST';
      if (isLost) this.#end(this.#lost(toError(thrown)));
      else this.#keepIn(this.ttlMs / retriesPerTtl);
    }
  }

  #lost(cause?: Error): PaipaiError {
    return new PaipaiError(
      'PAIPAI_ERR_LEASE_LOST',
      `lease ${this.leaseId} of ${this.ttlMs} ms is over: it was not kept alive for so long`,
      { cause },
    );
  }

  #end(reason: Error): void {
    if (this.signal.aborted) return;
    this.#keepTimer?.cancel();
    this.#endTimer?.cancel();
    this.#over.abort(reason);
  }
}
