/** Below this a chunk that waits behind another small one shares its memory. */
const smallBytes = 4 * 1024;
const bufferBytesFirst = 256;
const bufferBytesMax = 64 * 1024;

/**
 * Chunks of a stream that wait for their reader. An array object costs some 200 bytes, whatever is in it, so small ones that follow each other
 * become one: what waits costs little more memory than the credit that it has used, however the other side has cut it.
 *
 *   chunks: | 128 KiB | 1 | 128 KiB | 1 1 1 1 … up to 64 KiB |        room      |
 *                                   |<------- tail --------->|<- of its buffer ->|
 */
export class WaitingChunks {
  readonly #chunks: Uint8Array[] = [];
  /** What the last chunk lies in, at its beginning; null: in memory that is not ours to fill. */
  #buffer: Uint8Array | null = null;

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  push(chunk: Uint8Array): void {
    const tail = this.#chunks.at(-1);
    if (chunk.length >= smallBytes || tail === undefined || !this.#append(tail, chunk)) {
      this.#chunks.push(chunk);
      this.#buffer = null;
    }
  }

  shift(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    // The reader has it now.
    if (this.#chunks.length === 0) this.#buffer = null;
    return chunk;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#buffer = null;
  }

  /** False when `chunk` has to stand alone. */
  #append(tail: Uint8Array, chunk: Uint8Array): boolean {
    const byteCount = tail.length + chunk.length;
    if ((this.#buffer === null && tail.length >= smallBytes) || byteCount > bufferBytesMax) {
      return false;
    }
    let buffer = this.#buffer;
    if (buffer === null || byteCount > buffer.length) {
      const room = Math.max(bufferBytesFirst, 2 * byteCount);
      buffer = new Uint8Array(Math.min(bufferBytesMax, room));
      buffer.set(tail);
      this.#buffer = buffer;
    }
    buffer.set(chunk, tail.length);
    this.#chunks[this.#chunks.length - 1] = buffer.subarray(0, byteCount);
    return true;
  }
}
