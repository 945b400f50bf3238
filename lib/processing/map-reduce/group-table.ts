import { PaipaiError } from '../../base/errors.js';
import { KeyIndex } from './key-index.js';

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
  readonly #index: KeyIndex;
  readonly #values: readonly unknown[];
  readonly #single: unknown[] = [undefined];

  constructor(index: KeyIndex, values: readonly unknown[]) {
    this.#index = index;
    this.#values = values;
  }

  /** By their places, from 0. */
  get keys(): readonly string[] {
    return this.#index.keys;
  }

  sortedKeys(): string[] {
    // By UTF-16 code units, as `<` compares.
    return [...this.keys].sort();
  }

  placeOf(key: string): number {
    return this.#index.find(key);
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
 * Values by key, in memory. Most emitted values are numbers to be folded, so these cost the least: a look into the index, and a line in
 * the journal. When that is full, the numbers of each key are folded together, a few with one call.
 *
 *   key ──► place ──► a value                    the first one, or the result of the last fold
 *                 │   a pile of values           without a fold all of them, with one at most `pileCountMax` that are no numbers: to fold
 *                 │                              each text into a longer one would copy the long one for each
 *                 └─► newest line of the journal ──► the one before it ──► … ──► 0
 */
export class GroupTable {
  readonly #fold: Fold | undefined;
  readonly #bytesMax: number;
  readonly #seed: number;
  readonly #onFull: () => void;
  #index: KeyIndex;
  #values: unknown[] = [];
  #bytes = 0;

  // The journal: numbers that wait for their fold. Line 0 is none.
  readonly #numbers: Float64Array;
  readonly #linesBefore: Int32Array;
  #lineCount = 0;
  /** By place. */
  #newestLines: Int32Array;
  /** Places with numbers in the journal. */
  readonly #waiting: Int32Array;
  #waitingCount = 0;
  readonly #gathered = new Float64Array(pileCountMax);
  /** What a fold is given, by how many there are: to make a list shorter and longer takes longer than the fold. */
  readonly #batches: number[][] = Array.from({ length: pileCountMax + 1 }, (_, count) =>
    Array(count).fill(0),
  );
  #isFolding = false;

  /**
   * @param bytesMax about as much memory as it may take
   * @param seed see `KeyIndex`
   * @param onFull called when that is reached; it calls `drain`
   */
  constructor(bytesMax: number, seed: number, fold: Fold | undefined, onFull: () => void) {
    this.#bytesMax = bytesMax;
    this.#seed = seed;
    this.#fold = fold;
    this.#onFull = onFull;
    const lines = fold === undefined ? 0 : journalLines(bytesMax);
    this.#numbers = new Float64Array(lines + 1);
    this.#linesBefore = new Int32Array(lines + 1);
    this.#waiting = new Int32Array(lines + 1);
    this.#newestLines = new Int32Array(fold === undefined ? 0 : placesFirst);
    this.#index = new KeyIndex(seed);
  }

  get isEmpty(): boolean {
    return this.#values.length === 0;
  }

  /** One more value of a key that is there; false when it is not, and nothing is done. */
  tryAdd(key: string, value: unknown): boolean {
    const place = this.#index.find(key);
    if (place < 0) return false;
    if (typeof value !== 'number' || this.#fold === undefined) {
      this.#grow(this.#pileUp(place, value));
      return true;
    }
    this.#checkNotFolding();
    const line = this.#lineCount + 1;
    const newestLines = this.#newestLines;
    const before = newestLines[place]!; // There is one for each place.
    if (before === 0) this.#waiting[this.#waitingCount++] = place;
    newestLines[place] = line;
    this.#numbers[line] = value;
    this.#linesBefore[line] = before;
    this.#lineCount = line;
    if (line >= this.#numbers.length - 1) this.#grow(this.#foldJournal());
    return true;
  }

  /** The first value of a key. `key` is kept: it must not be a slice of something large. */
  open(key: string, value: unknown): void {
    this.#checkNotFolding();
    const place = this.#index.add(key);
    this.#values.push(value);
    if (this.#fold !== undefined && place === this.#newestLines.length) {
      const newestLines = new Int32Array(2 * place);
      newestLines.set(this.#newestLines);
      this.#newestLines = newestLines;
    }
    this.#grow(keyBytes + 2 * key.length + sizeOf(value));
  }

  add(key: string, value: unknown): void {
    if (!this.tryAdd(key, value)) this.open(key, value);
  }

  /** All that is there, folded; the table is empty then. */
  drain(): Groups {
    const fold = this.#fold;
    this.#foldJournal();
    const index = this.#index;
    const values = this.#values;
    this.#index = new KeyIndex(this.#seed);
    this.#values = [];
    this.#bytes = 0;
    if (fold !== undefined) {
      for (const [place, value] of values.entries()) {
        if (value instanceof Pile) values[place] = fold(index.keys[place]!, value.values);
      }
    }
    return new Groups(index, values);
  }

  /** Folds what waits in the journal, which is empty then. Returns the bytes that the table has grown by. */
  #foldJournal(): number {
    this.#checkNotFolding();
    this.#isFolding = true;
    let bytes = 0;
    try {
      while (this.#waitingCount > 0) {
        bytes += this.#foldLines(this.#waiting[--this.#waitingCount]!); // Below the count.
      }
    } catch (thrown) {
      // Whoever called fails with it; what else waits is nobody's any more.
      this.#waitingCount = 0;
      this.#newestLines.fill(0);
      throw thrown;
    } finally {
      this.#isFolding = false;
      this.#lineCount = 0;
    }
    return bytes;
  }

  #checkNotFolding(): void {
    if (!this.#isFolding) return;
    throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'a combine emits, which only a map may do');
  }

  #foldLines(place: number): number {
    const numbers = this.#numbers;
    const linesBefore = this.#linesBefore;
    let line = this.#newestLines[place]!; // As above.
    this.#newestLines[place] = 0;
    const before = this.#values[place];
    let value = before;
    while (line !== 0 && typeof value === 'number') {
      let count = 0;
      const gathered = this.#gathered;
      gathered[count++] = value;
      for (; line !== 0 && count < pileCountMax; line = linesBefore[line]!) {
        gathered[count++] = numbers[line]!;
      }
      const batch = this.#batches[count]!; // One for each count up to the most.
      for (let at = 0; at < count; at++) batch[at] = gathered[at]!;
      value = this.#fold!(this.#index.keys[place]!, batch); // Without one there is no journal.
    }
    let bytes = 0;
    if (typeof before === 'number') {
      this.#values[place] = unboxed(value);
      if (typeof value !== 'number') bytes += sizeOf(value);
    }
    for (; line !== 0; line = linesBefore[line]!) bytes += this.#pileUp(place, numbers[line]!);
    return bytes;
  }

  /** Returns the bytes that the table has grown by. */
  #pileUp(place: number, value: unknown): number {
    const before = this.#values[place];
    let bytes = sizeOf(value);
    if (!(before instanceof Pile)) {
      this.#values[place] = new Pile([before, value]);
      return bytes + pileBytes;
    }
    const { values } = before;
    values.push(value);
    if (values.length >= pileCountMax && this.#fold !== undefined) {
      const result = this.#fold(this.#index.keys[place]!, values);
      bytes += sizeOf(result);
      for (const each of values) bytes -= sizeOf(each);
      values.length = 1;
      values[0] = result;
    }
    return bytes;
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#bytesMax) this.#onFull();
  }
}

const placesFirst = 256;

/** More lines than these fold no more of them at once, and lie in no cache. */
const journalLinesMax = 32 * 1024;

/** A line takes 16 bytes: about a sixteenth of the table. */
function journalLines(bytesMax: number): number {
  return Math.min(journalLinesMax, Math.ceil(bytesMax / 256));
}

/** Values of one key that wait for their fold. A list has room for 17 when it grows for the first time. */
const pileCountMax = 17;

/** What a key costs beside its letters: its slot (24 to 48), a string (16), its places in the lists of keys, of values, and of lines (20). */
const keyBytes = 80;

/** What a pile costs beside its values: itself (24), a list (32), and room for 17 values (152). */
const pileBytes = 208;

/** The same, without an object of its own where it is a small integer: of those there is one for each key. */
function unboxed(value: unknown): unknown {
  if (typeof value !== 'number') return value;
  const integer = value | 0;
  return integer === value && !Object.is(value, -0) ? integer : value;
}

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
