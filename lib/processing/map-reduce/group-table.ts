/** Makes one value of several of the same key. `values` is borrowed: it is written again after the call. */
export type Fold = (key: string, values: readonly unknown[]) => unknown;

/** Several values of one key. */
class Pile {
  readonly values: unknown[];

  constructor(values: unknown[]) {
    this.values = values;
  }
}

/** What was in a table: keys in the order in which they came, and the values of each. */
export class Groups {
  readonly #places: ReadonlyMap<string, number>;
  readonly #values: readonly unknown[];
  readonly #single: unknown[] = [undefined];

  constructor(places: ReadonlyMap<string, number>, values: readonly unknown[]) {
    this.#places = places;
    this.#values = values;
  }

  /** Each key with what `valuesAt` wants. */
  [Symbol.iterator](): IterableIterator<[key: string, place: number]> {
    return this.#places.entries();
  }

  sortedKeys(): string[] {
    // By UTF-16 code units, as `<` compares.
    return [...this.#places.keys()].sort();
  }

  placeOf(key: string): number {
    return this.#places.get(key) ?? -1;
  }

  /** Borrowed until the next call. */
  valuesAt(place: number): readonly unknown[] {
    const value = this.#values[place];
    if (value instanceof Pile) return value.values;
    this.#single[0] = value;
    return this.#single;
  }
}

/**
 * Values by key, in memory. Most emitted values are numbers to be folded, so these cost the least: a look into the map, and a call.
 *
 *   key ──► place ──► a value                    the first one, or the result of the last fold
 *                     a pile of values           without a fold all of them, with one at most `pileCountMax` that are no numbers: to fold
 *                                                each text into a longer one would copy the long one for each
 */
export class GroupTable {
  readonly #fold: Fold | undefined;
  readonly #bytesMax: number;
  readonly #onFull: () => void;
  readonly #pair: unknown[] = [undefined, undefined];
  #places = new Map<string, number>();
  #values: unknown[] = [];
  #bytes = 0;

  /**
   * @param bytesMax about as much memory as it may take
   * @param onFull called when that is reached; it calls `drain`
   */
  constructor(bytesMax: number, fold: Fold | undefined, onFull: () => void) {
    this.#bytesMax = bytesMax;
    this.#fold = fold;
    this.#onFull = onFull;
  }

  get isEmpty(): boolean {
    return this.#values.length === 0;
  }

  /** One more value of a key that is there; false when it is not, and nothing is done. */
  tryAdd(key: string, value: unknown): boolean {
    const place = this.#places.get(key);
    if (place === undefined) return false;
    const before = this.#values[place];
    const fold = this.#fold;
    if (fold === undefined || typeof value !== 'number' || typeof before !== 'number') {
      this.#pileUp(key, place, before, value);
      return true;
    }
    const pair = this.#pair;
    pair[0] = before;
    pair[1] = value;
    const result = fold(key, pair);
    this.#values[place] = result;
    if (typeof result !== 'number') this.#grow(sizeOf(result));
    return true;
  }

  /** The first value of a key. `key` is kept: it must not be a slice of something large. */
  open(key: string, value: unknown): void {
    this.#places.set(key, this.#values.length);
    this.#values.push(value);
    this.#grow(keyBytes + 2 * key.length + sizeOf(value));
  }

  add(key: string, value: unknown): void {
    if (!this.tryAdd(key, value)) this.open(key, value);
  }

  /** All that is there, folded; the table is empty then. */
  drain(): Groups {
    const places = this.#places;
    const values = this.#values;
    this.#places = new Map();
    this.#values = [];
    this.#bytes = 0;
    if (this.#fold !== undefined) {
      for (const [key, place] of places) {
        const pile = values[place];
        if (pile instanceof Pile) values[place] = this.#fold(key, pile.values);
      }
    }
    return new Groups(places, values);
  }

  #pileUp(key: string, place: number, before: unknown, value: unknown): void {
    let bytes = sizeOf(value);
    if (!(before instanceof Pile)) {
      this.#values[place] = new Pile([before, value]);
      this.#grow(bytes + pileBytes);
      return;
    }
    const { values } = before;
    values.push(value);
    if (values.length >= pileCountMax && this.#fold !== undefined) {
      const result = this.#fold(key, values);
      bytes += sizeOf(result);
      for (const each of values) bytes -= sizeOf(each);
      values.length = 1;
      values[0] = result;
    }
    this.#grow(bytes);
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#bytesMax) this.#onFull();
  }
}

/** Values of one key that wait for their fold. A list has room for 17 when it grows for the first time. */
const pileCountMax = 17;

/** What a key costs beside its letters: its entry in the map (about 40), a string (16), its place in the list (8). */
const keyBytes = 64;

/** What a pile costs beside its values: itself (24), a list (32), and room for 17 values (152). */
const pileBytes = 208;

/** About what a value takes in memory. Numbers and short texts are nearly all there ever are, so these come first. */
function sizeOf(value: unknown): number {
  if (typeof value === 'number') return 8;
  if (typeof value === 'string') return 24 + 2 * value.length;
  return sizeOfOther(value, { left: partsLookedAtMax });
}

/** Of a larger value the rest does not count; of one with a circle in it there would be no end, and it is refused when it is encoded. */
const partsLookedAtMax = 10_000;

function sizeOfOther(value: unknown, parts: { left: number }): number {
  if (typeof value === 'string') return 24 + 2 * value.length;
  if (typeof value !== 'object' || value === null || parts.left <= 0) return 8;
  if (ArrayBuffer.isView(value)) return 128 + value.byteLength;
  let bytes = 64;
  for (const part of Object.values(value)) {
    parts.left--;
    bytes += 8 + sizeOfOther(part, parts);
  }
  return bytes;
}
