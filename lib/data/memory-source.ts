import { abortedError } from './aborted.js';
import { nothing } from './hold.js';
import type { DataSource, ReadOptions, SourceBlock } from './source.js';

/** `sizeBytes` zero bytes. One block of zeros stands for all of them. */
export class ZeroSource implements DataSource {
  readonly kind = 'zeros';
  readonly repeatable = true;
  readonly sizeBytes: number;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }

  async measure(): Promise<number> {
    return this.sizeBytes;
  }

  async *blocks(_env: unknown, { blockBytes, signal }: ReadOptions): AsyncGenerator<SourceBlock> {
    const zeros = new Uint8Array(Math.min(blockBytes, this.sizeBytes));
    for (let left = this.sizeBytes; left > 0; left -= zeros.byteLength) {
      if (signal?.aborted) throw abortedError(signal);
      yield { bytes: left < zeros.byteLength ? zeros.subarray(0, left) : zeros, release: nothing };
    }
  }
}

/** Bytes in memory, viewed where they are: leave them unchanged while the data are in use. */
export class BytesSource implements DataSource {
  readonly kind = 'bytes';
  readonly repeatable = true;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get sizeBytes(): number {
    return this.#bytes.byteLength;
  }

  async measure(): Promise<number> {
    return this.#bytes.byteLength;
  }

  async *blocks(_env: unknown, { blockBytes, signal }: ReadOptions): AsyncGenerator<SourceBlock> {
    for (let start = 0; start < this.#bytes.byteLength; start += blockBytes) {
      if (signal?.aborted) throw abortedError(signal);
      yield { bytes: this.#bytes.subarray(start, start + blockBytes), release: nothing };
    }
  }
}
