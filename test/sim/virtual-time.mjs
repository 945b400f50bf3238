// Time and chance of a simulation: one clock that jumps from event to event, and one seed.

/** Calls back in the order of moments, those of one moment in the order in which they were set. Times are milliseconds from 0. */
export class VirtualTime {
  nowMs = 0;
  #heap = [];
  #order = 0;

  /** @returns what `cancel` takes */
  at(dueMs, callback) {
    const event = { dueMs: Math.max(dueMs, this.nowMs), order: this.#order++, callback };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, heap[above])) break;
      heap[at] = heap[above];
      at = above;
    }
    heap[at] = event;
    return event;
  }

  after(delayMs, callback) {
    return this.at(this.nowMs + delayMs, callback);
  }

  cancel(event) {
    event.callback = undefined;
  }

  /** Runs everything up to `untilMs`, or until `isDone` holds; returns whether it held. */
  run(untilMs, isDone = () => false) {
    for (;;) {
      if (isDone()) return true;
      if (!this.runNext(untilMs)) return isDone();
    }
  }

  /** Runs the next event up to `untilMs`; false: there was none, and it is that late now. */
  runNext(untilMs) {
    while (this.#heap[0]?.callback === undefined && this.#heap.length > 0) this.#removeFirst();
    const first = this.#heap[0];
    if (first === undefined || first.dueMs > untilMs) {
      this.nowMs = untilMs;
      return false;
    }
    this.#removeFirst();
    this.nowMs = first.dueMs;
    first.callback();
    return true;
  }

  #removeFirst() {
    const heap = this.#heap;
    const last = heap.pop();
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1], heap[below])) below++;
      if (!isBefore(heap[below], last)) break;
      heap[at] = heap[below];
      at = below;
    }
    heap[at] = last;
  }
}

function isBefore(a, b) {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** The `Random` of an environment from a seed: a Weyl sequence of 32 bits, mixed by two multiplications. */
export class SeededRandom {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  next() {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  }

  bytes(count) {
    return Uint8Array.from({ length: count }, () => Math.floor(this.next() * 256));
  }

  /** From `min` up to `max`. */
  between(min, max) {
    return min + this.next() * (max - min);
  }

  /** Exponential with that mean: the time to the next of events that come at random. */
  exponential(mean) {
    return -mean * Math.log(1 - this.next());
  }

  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }
}
