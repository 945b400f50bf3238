/**
 * Ids of requests and streams: odd from 1 by the side that connected, even from 2 by the side that listened, increasing.
 * A busy connection uses up 2^31 of them within an hour, so "increasing" is meant modulo 2^32: a step forward is one of less than half the circle.
 */
const halfCircle = 0x8000_0000;

export type Role = 'connect' | 'listen';

/** The ids one side gives out, or, seen from the other side, has given out. */
export class IdSequence {
  readonly #lowBit: 0 | 1;
  /** The highest id so far; before the first, the one that the first follows. As an int32, which V8 holds without allocating. */
  #last: number;

  constructor(role: Role) {
    this.#lowBit = role === 'connect' ? 1 : 0;
    this.#last = role === 'connect' ? -1 : 0;
  }

  /** The id that comes next; `accept` it once it is in use. */
  get next(): number {
    const id = (this.#last + 2) >>> 0;
    return id === 0 ? 2 : id;
  }

  /** Notes that `id` is in use. False: it breaks the rules. */
  accept(id: number): boolean {
    const step = (id - this.#last) >>> 0;
    if (id === 0 || (id & 1) !== this.#lowBit || step === 0 || step >= halfCircle) return false;
    this.#last = id | 0;
    return true;
  }

  /** Whether `id` belongs to this side and has been in use. */
  hasUsed(id: number): boolean {
    return id !== 0 && (id & 1) === this.#lowBit && (this.#last - id) >>> 0 < halfCircle;
  }
}
