import type { Segment, ShuffleSpace } from './shuffle-space.js';

/** As much as is kept, or written to the file, at once. */
const blockBytes = 1024 * 1024;
const firstBlockBytes = 16 * 1024;

/** Turns chunks that come in one after the other into segments of a space. */
export class SegmentCollector {
  readonly #space: ShuffleSpace;
  #segments: Segment[] = [];
  #block = new Uint8Array(new SharedArrayBuffer(firstBlockBytes));
  #end = 0;

  constructor(space: ShuffleSpace) {
    this.#space = space;
  }

  /** Copies a chunk; settles when there is room for another one. Fails as `ShuffleSpace.keepLater`. */
  async add(chunk: Uint8Array): Promise<void> {
    for (let start = 0; start < chunk.byteLength; ) {
      const count = Math.min(chunk.byteLength - start, this.#block.byteLength - this.#end);
      this.#block.set(chunk.subarray(start, start + count), this.#end);
      this.#end += count;
      start += count;
      if (this.#end === this.#block.byteLength) {
        await this.#keep();
        this.#block = new Uint8Array(new SharedArrayBuffer(blockBytes));
      }
    }
  }

  /** All of them, in the order of the chunks; nothing is added any more. */
  async finish(): Promise<readonly Segment[]> {
    await this.#keep();
    return this.#segments;
  }

  /** Hands over what is kept so far, for whoever gives it back: once. */
  takeSegments(): readonly Segment[] {
    const segments = this.#segments;
    this.#segments = [];
    return segments;
  }

  async #keep(): Promise<void> {
    if (this.#end === 0) return;
    const block = this.#block.subarray(0, this.#end);
    this.#end = 0;
    this.#segments.push(await this.#space.keepLater(block));
  }
}
