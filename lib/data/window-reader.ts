import { BlockPool } from './block-pool.js';
import { Hold } from './hold.js';
import type { SourceBlock } from './source.js';

/** What lies next in a source, one behind the other in memory. Borrowed until `take`. */
export interface Window {
  /** As many bytes as were asked for; fewer only at the end of the source. */
  readonly bytes: Uint8Array;
  /** The source ends with this window. */
  readonly last: boolean;
}

/** Memory with bytes that are not taken yet: a block of the source, or the rest of a gathered window. */
interface Segment {
  readonly bytes: Uint8Array;
  readonly hold: Hold;
  position: number;
}

const gatheredIdleMax = 4;

/**
 * Turns blocks of any length into windows of `windowBytes`. A window inside one block is a view of it; only one that spans blocks
 * is gathered by copying.
 *
 *     block          block        block
 *     |----------|---------|-------------|
 *     |window|window|window|window|
 *      view   copy   copy   view
 *
 * Of each window the caller takes a part from its beginning; the next window begins behind that.
 */
export class WindowReader {
  readonly #windowBytes: number;
  readonly #blocks: AsyncIterator<SourceBlock>;
  readonly #gathered: BlockPool;
  /** Front first, none of them used up: at most the rest of a gathered window, a block and the one looked ahead at. */
  readonly #segments: Segment[] = [];
  /** The window that `next` gave, when it was gathered, and how many of its last bytes the front segment holds too. */
  #gatheredWindow: Segment | null = null;
  #overlapBytes = 0;

  constructor(blocks: AsyncIterable<SourceBlock>, windowBytes: number) {
    this.#blocks = blocks[Symbol.asyncIterator]();
    this.#windowBytes = windowBytes;
    this.#gathered = new BlockPool(windowBytes, gatheredIdleMax);
  }

  /** The next window, or null at the end. Take a part of it before the next call. */
  async next(): Promise<Window | null> {
    const front = this.#segments[0] ?? (await this.#pull());
    if (front === null) return null;
    if (left(front) > this.#windowBytes) return this.#viewOf(front, false);
    const follows = this.#segments.length > 1 || (await this.#pull()) !== null;
    if (!follows || left(front) === this.#windowBytes) return this.#viewOf(front, !follows);
    return await this.#gather();
  }

  /** Moves on by the first `bytes` (1 or more) of the window and lends them out. */
  take(bytes: number): { content: Uint8Array; release: () => void } {
    const gathered = this.#gatheredWindow;
    this.#gatheredWindow = null;
    if (gathered === null) {
      const front = this.#segments[0] as Segment; // `next` gave a view of it.
      const taken = lend(front, bytes);
      if (left(front) === 0) this.#dropFront();
      return taken;
    }
    const taken = lend(gathered, bytes);
    const restBytes = left(gathered);
    if (restBytes > this.#overlapBytes) {
      this.#segments.unshift(gathered);
    } else {
      // The front segment still holds the rest, so the next window can be a view of it again.
      const front = this.#segments[0];
      if (front !== undefined) front.position -= restBytes;
      gathered.hold.release();
    }
    return taken;
  }

  async close(): Promise<void> {
    this.#gatheredWindow?.hold.release();
    while (this.#segments.length > 0) this.#dropFront();
    await this.#blocks.return?.();
  }

  #viewOf(front: Segment, last: boolean): Window {
    const { bytes, position } = front;
    return { bytes: bytes.subarray(position, position + this.#windowBytes), last };
  }

  async #gather(): Promise<Window> {
    const buffer = this.#gathered.acquire();
    let filled = 0;
    this.#overlapBytes = 0;
    for (;;) {
      const front = this.#segments[0] ?? (await this.#pull());
      if (front === null || filled === this.#windowBytes) break;
      const count = Math.min(left(front), this.#windowBytes - filled);
      buffer.set(front.bytes.subarray(front.position, front.position + count), filled);
      front.position += count;
      filled += count;
      if (left(front) === 0) this.#dropFront();
      else this.#overlapBytes = count;
    }
    const bytes = buffer.subarray(0, filled);
    const hold = new Hold(() => this.#gathered.release(buffer));
    this.#gatheredWindow = { bytes, hold, position: 0 };
    return { bytes, last: this.#segments.length === 0 };
  }

  async #pull(): Promise<Segment | null> {
    const { done, value } = await this.#blocks.next();
    if (done === true) return null;
    const segment = { bytes: value.bytes, hold: new Hold(value.release), position: 0 };
    this.#segments.push(segment);
    return segment;
  }

  #dropFront(): void {
    this.#segments.shift()?.hold.release();
  }
}

function left(segment: Segment): number {
  return segment.bytes.byteLength - segment.position;
}

function lend(segment: Segment, bytes: number): { content: Uint8Array; release: () => void } {
  const content = segment.bytes.subarray(segment.position, segment.position + bytes);
  segment.position += bytes;
  return { content, release: segment.hold.share() };
}
