import type { EntryReader } from './entry-reader.js';

/**
 * Several runs of entries, each sorted by key, as one: every key once, in order, with the values of all. Only a key of each run, and the
 * value that is read, are in memory.
 *
 * A heap holds the readers, the one with the least key on top:
 *
 *            0
 *        1       2          the children of i are 2i + 1 and 2i + 2
 *      3   4   5   6
 */
export class RunMerger {
  readonly #heap: EntryReader[] = [];
  /** Those that stand at the current key. */
  readonly #current: EntryReader[] = [];
  key = '';

  constructor(readers: readonly EntryReader[]) {
    for (const reader of readers) this.#push(reader);
  }

  /** Goes on to the next key, over values that nobody has read; false at the end. */
  next(): boolean {
    for (const reader of this.#current.splice(0)) this.#push(reader);
    const least = this.#heap[0];
    if (least === undefined) return false;
    this.key = least.key;
    while (this.#heap[0]?.key === this.key) this.#current.push(this.#pop());
    return true;
  }

  /** The values of `key`, once. */
  *values(): Generator<unknown, void, undefined> {
    for (const reader of this.#current) {
      while (reader.valuesLeft > 0) yield reader.value();
    }
  }

  /** Puts a reader in at its next key, unless it is through. */
  #push(reader: EntryReader): void {
    if (!reader.next()) return;
    const heap = this.#heap;
    let at = heap.push(reader) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.key <= reader.key) break; // Between 0 and `at`, as all indexes here.
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = reader;
  }

  #pop(): EntryReader {
    const heap = this.#heap;
    const top = heap[0]!; // Whoever calls has seen that there is one.
    const last = heap.pop()!;
    if (last === top) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.key < heap[child]!.key) child++;
      if (last.key <= heap[child]!.key) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
