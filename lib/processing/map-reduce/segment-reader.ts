import { PaipaiError } from '../../base/errors.js';
import type { Segment, ShuffleSpace } from './shuffle-space.js';

/**
 * Reads segments one behind the other through a window: memory as it lies, where what is asked for does not cross its end, and a file in
 * pieces. Whoever reads asks for bytes with `want` or `need`, takes them from `bytes` between `at` and `end`, and moves `at` on.
 */
export class SegmentReader {
  readonly #space: ShuffleSpace | undefined;
  readonly #rest: Segment[];
  readonly #pieceBytes: number;
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;

  /**
   * @param space where segments of a file lie; undefined when there are none
   * @param pieceBytes what is read of a file at once
   */
  constructor(space: ShuffleSpace | undefined, segments: readonly Segment[], pieceBytes: number) {
    this.#space = space;
    this.#rest = segments.filter(({ byteLength }) => byteLength > 0).reverse();
    this.#pieceBytes = pieceBytes;
  }

  /** Whether there is one more byte. */
  get hasMore(): boolean {
    return this.at < this.end || this.#rest.length > 0;
  }

  /** Brings `count` bytes into the window, or all that are left. */
  want(count: number): void {
    while (this.end - this.at < count && this.#rest.length > 0) this.#extend(count);
  }

  /** @throws PaipaiError PAIPAI_ERR_PROTOCOL when fewer are left. */
  need(count: number): void {
    if (this.end - this.at >= count) return;
    this.want(count);
    if (this.end - this.at < count) throw malformed('they end in the middle');
  }

  /** Adds to the window from the next segment. */
  #extend(count: number): void {
    const next = this.#rest.pop();
    if (next === undefined) return;
    const left = this.end - this.at;
    if (left === 0 && typeof next.at !== 'number') {
      const { buffer, byteOffset, byteLength } = next.at;
      this.#show(Buffer.from(buffer, byteOffset, byteLength), byteLength);
      return;
    }
    // What is left is copied to the front of new memory, since the old may be somebody else's. Of memory no more follows it than was
    // asked for, so that the rest is read where it lies.
    const room = typeof next.at === 'number' ? Math.max(count, this.#pieceBytes) : count;
    const taken = Math.min(next.byteLength, room - left);
    const window = Buffer.allocUnsafeSlow(left + taken);
    this.bytes.copy(window, 0, this.at, this.end);
    if (typeof next.at === 'number') this.#fileOf().read(window.subarray(left), next.at);
    else window.set(next.at.subarray(0, taken), left);
    if (taken < next.byteLength) {
      this.#rest.push({
        byteLength: next.byteLength - taken,
        at: typeof next.at === 'number' ? next.at + taken : next.at.subarray(taken),
      });
    }
    this.#show(window, window.length);
  }

  #show(bytes: Buffer, end: number): void {
    this.bytes = bytes;
    this.at = 0;
    this.end = end;
  }

  #fileOf(): ShuffleSpace {
    if (this.#space !== undefined) return this.#space;
    throw new RangeError('a segment lies in a file, and there is none');
  }
}

export function malformed(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `entries of a MapReduce are malformed: ${why}`);
}
