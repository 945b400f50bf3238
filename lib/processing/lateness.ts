/** A task is late when it takes twice as long as those before it did, and longer than this. */
const lateMsMin = 250;

/** When a task under way is late, by those that have ended: then a node that has nothing else to do may begin it too. */
export class Lateness {
  #size = 0;
  #sumMs = 0;

  /** A task has ended. */
  add(tookMs: number, size = 1): void {
    this.#size += size;
    this.#sumMs += tookMs;
  }

  /** Milliseconds from its start after which a task of this size is late; Infinity before the first one has ended. */
  lateMs(size = 1): number {
    if (this.#size === 0) return Infinity;
    return Math.max(lateMsMin, (2 * this.#sumMs * size) / this.#size);
  }
}
