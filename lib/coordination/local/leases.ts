import type { Env, Timer } from '../../base/env.js';
import { PaipaiError } from '../../base/errors.js';
import type { GrantedLease } from '../coordinator.js';
import { drawLeaseId } from '../lease-id.js';
import type { KeyLease } from './journal.js';

/** Each has a timer, and names at most so many keys, which go at one moment. */
const leasesMax = 10_000;
export const keysPerLeaseMax = 1_024;
/** A timer that comes so much too late tells of a process that stood still: who keeps a lease alive was not heard meanwhile. */
const standstillMs = 1_000;

interface Lease extends KeyLease {
  readonly keys: Set<string>;
  dueMs: number;
  timer: Timer | undefined;
}

/**
 * The leases of one table: when they end, and which keys go with them. It changes no key: `onOver` does. A lease is kept with its keys; after
 * a restart those that have any begin anew, the others are lost.
 */
export class Leases {
  readonly #env: Pick<Env, 'timers' | 'clock' | 'random'>;
  readonly #onOver: (leaseId: number) => void;
  readonly #leases = new Map<number, Lease>();

  /** @param onOver of a lease whose time is over; it is found by `keysOf` until `remove` */
  constructor(env: Pick<Env, 'timers' | 'clock' | 'random'>, onOver: (leaseId: number) => void) {
    this.#env = env;
    this.#onOver = onOver;
  }

  /** @throws PaipaiError PAIPAI_ERR_OVERLOADED. */
  grant(ttlMs: number): GrantedLease {
    if (this.#leases.size >= leasesMax) {
      throw new PaipaiError('PAIPAI_ERR_OVERLOADED', `there are ${leasesMax} leases already`);
    }
    const { random } = this.#env;
    let leaseId = drawLeaseId(random);
    while (this.#leases.has(leaseId)) leaseId = drawLeaseId(random);
    this.restore({ leaseId, ttlMs });
    return { leaseId, ttlMs };
  }

  /** The lease of a key that was kept; it begins anew. */
  restore({ leaseId, ttlMs }: KeyLease): void {
    if (this.#leases.has(leaseId)) return;
    const lease: Lease = { leaseId, ttlMs, keys: new Set(), dueMs: 0, timer: undefined };
    this.#leases.set(leaseId, lease);
    this.#begin(lease);
  }

  /** @throws PaipaiError PAIPAI_ERR_LEASE_LOST. */
  keep(leaseId: number): void {
    this.#begin(this.#living(leaseId));
  }

  /** What a key of it keeps. @throws PaipaiError PAIPAI_ERR_LEASE_LOST; _OVERLOADED when it has as many keys as a lease may. */
  forKey(leaseId: number, key: string): KeyLease {
    const { ttlMs, keys } = this.#living(leaseId);
    if (keys.size < keysPerLeaseMax || keys.has(key)) return { leaseId, ttlMs };
    throw new PaipaiError(
      'PAIPAI_ERR_OVERLOADED',
      `lease ${leaseId} has ${keysPerLeaseMax} keys already`,
    );
  }

  attach({ leaseId }: KeyLease, key: string): void {
    this.#leases.get(leaseId)?.keys.add(key);
  }

  detach({ leaseId }: KeyLease, key: string): void {
    this.#leases.get(leaseId)?.keys.delete(key);
  }

  /** From now on it is over, and found by `keysOf` alone. */
  end(leaseId: number): void {
    const lease = this.#leases.get(leaseId);
    lease?.timer?.cancel();
    if (lease !== undefined) lease.timer = undefined;
  }

  keysOf(leaseId: number): string[] {
    return [...(this.#leases.get(leaseId)?.keys ?? [])];
  }

  remove(leaseId: number): void {
    this.end(leaseId);
    this.#leases.delete(leaseId);
  }

  /** No lease ends any more. */
  close(): void {
    for (const { leaseId } of this.#leases.values()) this.end(leaseId);
  }

  #living(leaseId: number): Lease {
    const lease = this.#leases.get(leaseId);
    if (lease?.timer !== undefined) return lease;
    throw new PaipaiError('PAIPAI_ERR_LEASE_LOST', `lease ${leaseId} is over, or never was`);
  }

  #begin(lease: Lease): void {
    lease.dueMs = this.#env.clock.nowMs() + lease.ttlMs;
    this.#wait(lease);
  }

  #wait(lease: Lease): void {
    const { clock, timers } = this.#env;
    lease.timer?.cancel();
    lease.timer = timers.after(Math.max(0, lease.dueMs - clock.nowMs()), () => {
      const lateMs = clock.nowMs() - lease.dueMs;
      if (lateMs < 0) return this.#wait(lease); // Timers come a little early, too.
      if (lateMs > standstillMs) return this.#begin(lease);
      lease.timer = undefined;
      this.#onOver(lease.leaseId);
    });
  }
}
