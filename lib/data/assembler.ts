import { type Deferred, deferred } from '../base/deferred.js';
import { PaipaiError } from '../base/errors.js';
import type { ShardCut } from './shard.js';
import { type LedgerOptions, ShardLedger, type ShardPosition } from './shard-ledger.js';

/** Puts shards, in any order, into one buffer that has the size of the whole. */
export class BufferAssembler {
  readonly #target: Uint8Array;
  readonly #ledger: ShardLedger;

  constructor(target: Uint8Array, options: LedgerOptions = {}) {
    this.#target = target;
    this.#ledger = new ShardLedger(options);
  }

  get complete(): boolean {
    return this.#ledger.complete;
  }

  /**
   * Copies `content` to its place. The same shard again changes nothing.
   * @throws PaipaiError as `ShardLedger` does; PAIPAI_ERR_SHARD_HEADER when the target is not of the size of the whole.
   */
  accept(position: ShardPosition, content: Uint8Array): void {
    const { index, offset, totalBytes } = position;
    const targetBytes = this.#target.byteLength;
    const ends = offset + content.byteLength;
    if (ends > targetBytes || (totalBytes > 0 && totalBytes !== targetBytes)) {
      throw new PaipaiError(
        'PAIPAI_ERR_SHARD_HEADER',
        `Shard ${index} ends at ${ends} of ${totalBytes} bytes; there is room for data of ${targetBytes}.`,
        { shardIndex: index },
      );
    }
    if (this.#ledger.enter(position, content)) {
      this.#target.set(content, offset);
    } else if (Buffer.compare(this.#target.subarray(offset, ends), content) !== 0) {
      throw new PaipaiError(
        'PAIPAI_ERR_SHARD_CHECKSUM',
        `Shard ${index} came twice, with different content.`,
        { shardIndex: index },
      );
    }
  }

  /**
   * The target, whole.
   * @throws PaipaiError PAIPAI_ERR_SHARD_INCOMPLETE
   */
  finish(): Uint8Array {
    this.#ledger.assertComplete();
    return this.#target;
  }
}

export interface OrderedOptions extends LedgerOptions {
  /** Content that waits for its turn. One shard is always taken, whatever its size. Default 64 MiB. */
  heldBytesMax?: number;
}

export interface OrderedShard extends ShardCut {
  readonly content: Uint8Array;
}

const heldBytesMaxDefault = 64 * 1024 * 1024;

/**
 * Hands shards that arrive in any order out in theirs, once, to one `for await` loop. Contents are held by reference: leave them
 * unchanged until they were handed out and used.
 */
export class OrderedAssembler implements AsyncIterable<OrderedShard> {
  readonly #ledger: ShardLedger;
  readonly #heldBytesMax: number;
  readonly #held = new Map<number, OrderedShard>();
  #heldBytes = 0;
  #next = 0;
  #ended = false;
  #failure: Error | null = null;
  #change: Deferred<void> = deferred();

  constructor(options: OrderedOptions = {}) {
    this.#ledger = new ShardLedger(options);
    this.#heldBytesMax = options.heldBytesMax ?? heldBytesMaxDefault;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Settles when the shard is taken over; until then its sender waits, because the loop is slow. Shards too far ahead of one that
   * is missing are refused with PAIPAI_ERR_BACK_PRESSURE, since waiting could not help: offer them again later.
   * @throws PaipaiError also as `ShardLedger` does, and what `fail` was given.
   */
  async accept(position: ShardPosition, content: Uint8Array): Promise<void> {
    const { index, offset } = position;
    const bytes = content.byteLength;
    this.#assertOpen();
    while (!this.#hasRoomFor(index, bytes)) {
      if (!this.#held.has(this.#next)) {
        throw new PaipaiError(
          'PAIPAI_ERR_BACK_PRESSURE',
          `Shard ${index} came while shard ${this.#next} is missing and ${this.#heldBytes} bytes wait for it.`,
          { shardIndex: index },
        );
      }
      await this.#change.promise;
      this.#assertOpen();
    }
    if (!this.#ledger.enter(position, content)) return;
    this.#held.set(index, { index, offset, bytes, content });
    this.#heldBytes += bytes;
    this.#announce();
  }

  /** No shard follows. The loop ends, or fails with PAIPAI_ERR_SHARD_INCOMPLETE. */
  end(): void {
    this.#ended = true;
    this.#announce();
  }

  /** Gives up: the loop and all who wait in `accept` fail with `error`. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#held.clear();
    this.#heldBytes = 0;
    this.#announce();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<OrderedShard, void, undefined> {
    try {
      for (;;) {
        if (this.#failure !== null) throw this.#failure;
        const shard = this.#held.get(this.#next);
        if (shard !== undefined) {
          this.#held.delete(this.#next);
          this.#heldBytes -= shard.bytes;
          this.#next++;
          this.#announce();
          yield shard;
        } else if (this.#ledger.complete) {
          return;
        } else {
          if (this.#ended) this.#ledger.assertComplete();
          await this.#change.promise;
        }
      }
    } finally {
      this.fail(new PaipaiError('PAIPAI_ERR_CLOSED', 'Nobody reads the shards any more.'));
    }
  }

  #hasRoomFor(index: number, bytes: number): boolean {
    return (
      index === this.#next || this.#heldBytes === 0 || this.#heldBytes + bytes <= this.#heldBytesMax
    );
  }

  #assertOpen(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  #announce(): void {
    this.#change.resolve();
    this.#change = deferred();
  }
}
