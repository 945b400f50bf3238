/** An entry of an `IdTable`: it carries its own chain, so the table allocates nothing for it. */
export interface Chained<T> {
  readonly id: number;
  nextInChain: T | null;
}

const chainsLeast = 16;
const noChains: never[] = [];

/**
 * Entries by the id of a request. Ids of one side rise in steps of two, so their low bits spread the entries evenly: an
 * array of short chains beats a Map, which hashes, and which copies itself again and again while keys come and go.
 */
export class IdTable<T extends Chained<T>> {
  /** None before the first entry. */
  #chains: (T | null)[] = noChains;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** No entry of this id may be in the table. */
  add(entry: T): void {
    if (this.#size === this.#chains.length) this.#grow();
    this.#size++;
    this.#link(entry);
  }

  get(id: number): T | null {
    if (this.#size === 0) return null;
    let entry = this.#chains[this.#indexOf(id)] ?? null;
    while (entry !== null && entry.id !== id) entry = entry.nextInChain;
    return entry;
  }

  /** Takes the entry out and returns it. */
  take(id: number): T | null {
    if (this.#size === 0) return null;
    const index = this.#indexOf(id);
    let before: T | null = null;
    let entry = this.#chains[index] ?? null;
    while (entry !== null && entry.id !== id) {
      before = entry;
      entry = entry.nextInChain;
    }
    if (entry === null) return null;
    if (before === null) this.#chains[index] = entry.nextInChain;
    else before.nextInChain = entry.nextInChain;
    entry.nextInChain = null;
    this.#size--;
    return entry;
  }

  /** Empties the table; the entries in the order of their ids, but for a wrap of the counter. */
  takeAll(): T[] {
    const entries: T[] = [];
    for (const head of this.#chains) {
      for (let entry = head; entry !== null; entry = entry.nextInChain) entries.push(entry);
    }
    for (const entry of entries) entry.nextInChain = null;
    this.#chains.fill(null);
    this.#size = 0;
    return entries.sort((a, b) => a.id - b.id);
  }

  #indexOf(id: number): number {
    return (id >>> 1) & (this.#chains.length - 1);
  }

  #link(entry: T): void {
    const index = this.#indexOf(entry.id);
    entry.nextInChain = this.#chains[index] ?? null;
    this.#chains[index] = entry;
  }

  #grow(): void {
    const entries = this.#chains;
    this.#chains = new Array(Math.max(chainsLeast, entries.length * 2)).fill(null);
    for (const head of entries) {
      for (let entry = head; entry !== null; ) {
        const next: T | null = entry.nextInChain;
        this.#link(entry);
        entry = next;
      }
    }
  }
}
