import { PaipaiError, type PaipaiErrorDetails } from '../base/errors.js';
import type { Crc32c } from './checksum.js';
import { shardBytesMax, shardCountMax } from './shard.js';

/** What is known of a shard besides its content. Count and total are 0 while they are not known. */
export interface ShardPosition {
  readonly index: number;
  readonly offset: number;
  readonly count: number;
  readonly totalBytes: number;
  /** CRC32C of the content; undefined when nobody computed it. */
  readonly crc32c?: number | undefined;
}

export interface LedgerOptions {
  /** For messages. */
  dataId?: string;
  /** Computes and compares the checksum of every shard. Without it those of the headers are believed. */
  crc32c?: Crc32c;
}

type Misfit = 'SHARD_HEADER' | 'SHARD_CHECKSUM' | 'SHARD_INCOMPLETE';

interface Seen {
  readonly offset: number;
  readonly bytes: number;
  readonly crc32c: number | undefined;
}

/**
 * Keeps account of the shards of one piece of data that arrive in any order, and refuses what does not fit together:
 * PAIPAI_ERR_SHARD_HEADER for positions that contradict each other, PAIPAI_ERR_SHARD_CHECKSUM for content that is not what it says
 * or not what it was the first time, PAIPAI_ERR_SHARD_INCOMPLETE for a gap or an overlap. Shards that are not neighbours are
 * compared when the ones between them arrive.
 */
export class ShardLedger {
  readonly #seen = new Map<number, Seen>();
  readonly #dataId: string | undefined;
  readonly #crc32c: Crc32c | undefined;
  #count = 0;
  #totalBytes = 0;
  #bytes = 0;
  #indexMax = -1;
  #endMax = 0;

  constructor(options: LedgerOptions = {}) {
    this.#dataId = options.dataId;
    this.#crc32c = options.crc32c;
  }

  /** Shards of the whole; 0 while it is not known. */
  get count(): number {
    return this.#count;
  }

  get complete(): boolean {
    return this.#count > 0 && this.#seen.size === this.#count && this.#bytes === this.#totalBytes;
  }

  /** Enters a shard. False: it was here before, with the same content. After a failure the ledger is as it was. */
  enter(position: ShardPosition, content: Uint8Array): boolean {
    const { index, offset } = position;
    const bytes = content.byteLength;
    this.#checkRanges(position, bytes);
    this.#checkWhole(position, bytes);
    const crc32c = this.#check(position, content);
    const before = this.#seen.get(index);
    if (before !== undefined) {
      if (before.offset !== offset || before.bytes !== bytes) {
        throw this.#error('SHARD_HEADER', index, 'came twice, from different places');
      }
      if (before.crc32c !== crc32c) {
        throw this.#error('SHARD_CHECKSUM', index, 'came twice, with different content');
      }
      return false;
    }
    this.#checkNeighbours(index, offset, bytes);
    if (position.count > 0) {
      this.#count = position.count;
      this.#totalBytes = position.totalBytes;
    }
    this.#seen.set(index, { offset, bytes, crc32c });
    this.#bytes += bytes;
    this.#indexMax = Math.max(this.#indexMax, index);
    this.#endMax = Math.max(this.#endMax, offset + bytes);
    return true;
  }

  /** @throws PaipaiError PAIPAI_ERR_SHARD_INCOMPLETE, which names the first shard that is missing. */
  assertComplete(): void {
    if (this.complete) return;
    let missing = 0;
    while (this.#seen.has(missing)) missing++;
    const known = this.#count === 0 ? 'an unknown number of' : String(this.#count);
    throw this.#error(
      'SHARD_INCOMPLETE',
      missing,
      `is missing; ${this.#seen.size} of ${known} are here`,
    );
  }

  #checkRanges({ index, offset, count, totalBytes }: ShardPosition, bytes: number): void {
    const fits =
      isCount(index, shardCountMax - 1) &&
      isCount(offset, Number.MAX_SAFE_INTEGER) &&
      bytes >= 1 &&
      bytes <= shardBytesMax &&
      isCount(count, shardCountMax) &&
      isCount(totalBytes, Number.MAX_SAFE_INTEGER) &&
      (count === 0) === (totalBytes === 0) &&
      (count === 0 || (index < count && offset + bytes <= totalBytes)) &&
      (index !== count - 1 || offset + bytes === totalBytes);
    if (!fits) throw this.#error('SHARD_HEADER', index, 'has a position that no shard can have');
  }

  #checkWhole({ index, offset, count, totalBytes }: ShardPosition, bytes: number): void {
    if (this.#count > 0) {
      const agrees = count === 0 || (count === this.#count && totalBytes === this.#totalBytes);
      if (!agrees || index >= this.#count || offset + bytes > this.#totalBytes) {
        throw this.#error('SHARD_HEADER', index, 'contradicts the count or the total of another');
      }
    } else if (count > 0 && (this.#indexMax >= count || this.#endMax > totalBytes)) {
      throw this.#error('SHARD_HEADER', index, 'gives a count or a total below what is here');
    }
  }

  #check({ index, crc32c }: ShardPosition, content: Uint8Array): number | undefined {
    if (this.#crc32c === undefined) return crc32c;
    const computed = this.#crc32c(content);
    if (crc32c !== undefined && crc32c !== computed) {
      throw this.#error('SHARD_CHECKSUM', index, 'does not match its checksum');
    }
    return computed;
  }

  #checkNeighbours(index: number, offset: number, bytes: number): void {
    const before = this.#seen.get(index - 1);
    const after = this.#seen.get(index + 1);
    const begin = index === 0 ? 0 : before === undefined ? offset : before.offset + before.bytes;
    if (offset !== begin || (after !== undefined && after.offset !== offset + bytes)) {
      throw this.#error('SHARD_INCOMPLETE', index, 'overlaps its neighbour or leaves a gap');
    }
  }

  #error(misfit: Misfit, index: number, what: string): PaipaiError {
    const details: PaipaiErrorDetails = { shardIndex: index };
    if (this.#dataId !== undefined) details.dataId = this.#dataId;
    return new PaipaiError(
      `PAIPAI_ERR_${misfit}`,
      `Shard ${index} of ${this.#dataId ?? 'the data'} ${what}.`,
      details,
    );
  }
}

function isCount(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= max;
}
