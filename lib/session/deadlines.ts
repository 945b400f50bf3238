import type { Clock, Env, Timer } from '../base/env.js';

/**
 * Something with a deadline: one link of a bucket's ring, so that leaving the ring costs two writes and no search.
 * It sits in at most one ring at a time.
 */
export abstract class Expiring {
  /** Neighbours in the ring; null outside of one. */
  laterExpiring: Expiring | null = null;
  earlierExpiring: Expiring | null = null;

  /** Called once, outside of the ring, when the deadline has passed. It must not throw. */
  abstract onDeadline(): void;
}

/** A deadline that calls a function. */
export class Alarm extends Expiring {
  override onDeadline: () => void;

  constructor(onDeadline: () => void) {
    super();
    this.onDeadline = onDeadline;
  }
}

const gatheredDelayMsLeast = 500;
const gatheringMs = 4;

/** All that expire at the same moment; the bucket itself closes the ring. */
class Bucket extends Expiring {
  readonly dueMs: number;

  constructor(dueMs: number) {
    super();
    this.dueMs = dueMs;
    this.laterExpiring = this;
    this.earlierExpiring = this;
  }

  override onDeadline(): void {}
}

/**
 * Deadlines by the million over one timer. Moments are rounded up to a grain of 2 ms, or of the power of two below 1/128
 * of the delay when that is more, and all of one moment share a bucket. So a deadline never fires early and, while the
 * event loop runs, at most max(5 ms, 2 %) late; setting and clearing one touches neither a timer nor the heap.
 */
export class Deadlines {
  readonly #env: Env;
  readonly #buckets = new Map<number, Bucket>();
  /** Neighbouring calls mostly have the same delay, so the bucket of the last is tried first. */
  #latest = new Bucket(-1);
  /** Those of `setGathered` that wait for their moment to be reckoned, all of one delay. */
  readonly #gathered = new Bucket(-1);
  #gatheredDelayMs = 0;
  #isGathering = false;
  /** Since the last look. */
  #hasGathered = false;
  #timer: Timer | null = null;
  #wakeMs = Infinity;

  constructor(env: Env) {
    this.#env = env;
  }

  /** The clock behind them. */
  get nowMs(): number {
    return this.#env.clock.nowMs();
  }

  /** Calls `entry.onDeadline` once `delayMs` (0 to 2147483647) have passed, unless it is cleared before. */
  set(entry: Expiring, delayMs: number): void {
    append(this.#bucketFor(delayMs), entry, entry);
  }

  /**
   * `set` for entries by the million, of which most are cleared soon: those of a delay above half a second share one look at the
   * clock each 4 ms. It never precedes the call, so that none fires early.
   */
  setGathered(entry: Expiring, delayMs: number): void {
    if (delayMs < gatheredDelayMsLeast) return this.set(entry, delayMs);
    if (delayMs !== this.#gatheredDelayMs) {
      this.#placeGathered();
      this.#gatheredDelayMs = delayMs;
    }
    append(this.#gathered, entry, entry);
    this.#hasGathered = true;
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#env.timers.after(gatheringMs, this.#onGathered);
  }

  /** Takes `entry` out; nothing happens when it is in no ring. */
  clear(entry: Expiring): void {
    const { earlierExpiring, laterExpiring } = entry;
    if (earlierExpiring === null || laterExpiring === null) return;
    earlierExpiring.laterExpiring = laterExpiring;
    laterExpiring.earlierExpiring = earlierExpiring;
    entry.earlierExpiring = null;
    entry.laterExpiring = null;
  }

  readonly #onGathered = (): void => {
    this.#placeGathered();
    // Another round while requests are made, so that a timer is started for none of them.
    this.#isGathering = this.#hasGathered;
    if (this.#isGathering) this.#env.timers.after(gatheringMs, this.#onGathered);
    this.#hasGathered = false;
  };

  #placeGathered(): void {
    const ring = this.#gathered;
    // A ring is never open: each link in it has both neighbours.
    const first = ring.laterExpiring as Expiring;
    const last = ring.earlierExpiring as Expiring;
    if (first === ring) return;
    ring.laterExpiring = ring;
    ring.earlierExpiring = ring;
    append(this.#bucketFor(this.#gatheredDelayMs), first, last);
  }

  #bucketFor(delayMs: number): Bucket {
    const grainMs = delayMs < 512 ? 2 : 1 << (31 - Math.clz32(delayMs >>> 7));
    const dueMs = (Math.floor((this.#env.clock.nowMs() + delayMs) / grainMs) + 1) * grainMs;
    return this.#latest.dueMs === dueMs ? this.#latest : this.#bucketAt(dueMs);
  }

  #bucketAt(dueMs: number): Bucket {
    let bucket = this.#buckets.get(dueMs);
    if (bucket === undefined) {
      bucket = new Bucket(dueMs);
      this.#buckets.set(dueMs, bucket);
      if (dueMs < this.#wakeMs) this.#wakeAt(dueMs);
    }
    this.#latest = bucket;
    return bucket;
  }

  #wakeAt(dueMs: number): void {
    this.#timer?.cancel();
    this.#wakeMs = dueMs;
    const delayMs = Math.max(1, Math.ceil(dueMs - this.#env.clock.nowMs()));
    this.#timer = this.#env.timers.after(Math.min(delayMs, 0x7fff_ffff), this.#onTimer);
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    this.#wakeMs = Infinity;
    // A timer may come a little before its time by this clock; what is not due then stays.
    const nowMs = this.#env.clock.nowMs();
    let nextMs = Infinity;
    for (const [dueMs, bucket] of this.#buckets) {
      if (dueMs <= nowMs) {
        this.#buckets.delete(dueMs);
        this.#fire(bucket);
      } else if (dueMs < nextMs) {
        nextMs = dueMs;
      }
    }
    if (nextMs < this.#wakeMs) this.#wakeAt(nextMs);
  };

  #fire(bucket: Bucket): void {
    if (this.#latest === bucket) this.#latest = new Bucket(-1);
    for (let entry = bucket.laterExpiring; entry !== bucket; entry = bucket.laterExpiring) {
      // The ring is closed, so every neighbour is there.
      this.clear(entry as Expiring);
      (entry as Expiring).onDeadline();
    }
  }
}

const shared = new WeakMap<Clock, Deadlines>();

/** The same for all who live by the same clock: of a thousand connections each would start timers of its own. */
export function deadlinesOf(env: Env): Deadlines {
  let deadlines = shared.get(env.clock);
  if (deadlines === undefined) {
    deadlines = new Deadlines(env);
    shared.set(env.clock, deadlines);
  }
  return deadlines;
}

/** Puts the links from `first` to `last` at the end of the ring of `bucket`. */
function append(bucket: Bucket, first: Expiring, last: Expiring): void {
  // A ring is never open: each link in it has both neighbours, the bucket included.
  const before = bucket.earlierExpiring as Expiring;
  before.laterExpiring = first;
  first.earlierExpiring = before;
  last.laterExpiring = bucket;
  bucket.earlierExpiring = last;
}
