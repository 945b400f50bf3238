import { PaipaiError } from '../../base/errors.js';
import type { PeerStream } from '../../session/types.js';
import { unreadShards } from './lost-shards.js';
import { encodeGetRequest, getMethod } from './messages.js';
import { isCopyFailure, nodeError } from './node-error.js';
import type { NodeLink } from './node-link.js';
import type { Operation } from './operation.js';
import type { PlacedShard } from './shard-map.js';

export interface Fetch {
  readonly operation: Operation;
  readonly dataId: string;
  readonly version: bigint;
  /** The nodes that hold the shard and can be asked, in this order; fails when there are none. */
  readonly linksFor: (shard: PlacedShard) => readonly NodeLink[];
  /** Hears of a copy that came to harm, or is not there, after the content has come from another. */
  readonly onDamaged?: (shard: PlacedShard, nodeId: string, content: Uint8Array) => Promise<void>;
}

const shardsInFlightMax = 16;

/**
 * Brings the shards (all of the data, by index) back and puts them together, each checked against the checksum that it was sent with, and
 * taken from the next holder where one has it no more, or not as it was.
 * Fails: PAIPAI_ERR_SHARD_CHECKSUM, _SHARD_INCOMPLETE, _NODE_LOST, _STORE_FAILED, _UNKNOWN_DATA, with `shardIndexes` of all that nobody could
 * give; and the operation's own end.
 */
export async function fetchShards(
  fetch: Fetch,
  shards: readonly PlacedShard[],
): Promise<Uint8Array> {
  const last = shards.at(-1);
  const whole = new Uint8Array(last === undefined ? 0 : last.offset + last.bytes);
  const fetcher = new ShardFetcher(fetch);
  const failures = new Map<number, PaipaiError>();
  try {
    await fetcher.fetchAll(shards, async (shard) => {
      const target = whole.subarray(shard.offset, shard.offset + shard.bytes);
      const failure = await fetcher.tryFetch(shard, target);
      if (failure !== undefined) failures.set(shard.index, failure);
    });
  } finally {
    fetcher.close();
  }
  if (failures.size > 0) throw unreadShards(fetch.dataId, failures);
  return whole;
}

/** Content that is there, or under way, and whose turn has not come. One shard may have more. */
const aheadBytesMax = 64 * 1024 * 1024;

/**
 * The same, shard by shard, for data larger than memory: `take` gets each in its turn, and the next one when it has settled.
 * Fails as `fetchShards` does, but at the first shard that nobody could give, and with what `take` fails with; either ends the operation.
 */
export async function fetchInOrder(
  fetch: Fetch,
  shards: readonly PlacedShard[],
  take: (content: Uint8Array, offset: number) => void | Promise<void>,
): Promise<void> {
  const { operation, dataId } = fetch;
  const fetcher = new ShardFetcher(fetch);
  const ahead: { readonly shard: PlacedShard; readonly content: Promise<Uint8Array> }[] = [];
  let aheadBytes = 0;
  const bring = async (shard: PlacedShard): Promise<Uint8Array> => {
    const target = new Uint8Array(shard.bytes);
    const failure = await fetcher.tryFetch(shard, target);
    if (failure === undefined) return target;
    throw unreadShards(dataId, new Map([[shard.index, failure]]));
  };
  const begin = (shard: PlacedShard): void => {
    const content = bring(shard);
    content.catch((thrown: unknown) => operation.fail(thrown));
    ahead.push({ shard, content });
    aheadBytes += shard.bytes;
  };
  const hasRoomFor = ({ bytes }: PlacedShard): boolean =>
    ahead.length === 0 || (ahead.length < shardsInFlightMax && aheadBytes + bytes <= aheadBytesMax);
  let begun = 0;
  try {
    for (;;) {
      for (let next = shards[begun]; next !== undefined && hasRoomFor(next); next = shards[begun]) {
        begun++;
        begin(next);
      }
      const first = ahead.shift();
      if (first === undefined) return;
      const content = await operation.race(first.content);
      await operation.race(Promise.resolve(take(content, first.shard.offset)));
      aheadBytes -= first.shard.bytes;
    }
  } catch (thrown) {
    operation.fail(thrown);
    throw thrown;
  } finally {
    await Promise.allSettled(ahead.map(({ content }) => content));
    fetcher.close();
  }
}

/** Brings single shards, several at a time, as part of one operation. */
export class ShardFetcher {
  readonly #fetch: Fetch;
  readonly #streams = new Set<PeerStream>();
  readonly #onFailure = (): void => {
    for (const stream of this.#streams) stream.reset(this.#fetch.operation.signal.reason);
  };

  constructor(fetch: Fetch) {
    this.#fetch = fetch;
    fetch.operation.signal.addEventListener('abort', this.#onFailure, { once: true });
  }

  /** Has `take` run for each of `shards`, a few at a time. The first failure ends the operation, and is what this fails with. */
  async fetchAll(
    shards: readonly PlacedShard[],
    take: (shard: PlacedShard) => Promise<void>,
  ): Promise<void> {
    const { operation } = this.#fetch;
    const rest = shards.values();
    const takeSome = async (): Promise<void> => {
      for (const shard of rest) {
        if (operation.hasFailed) return;
        await take(shard).catch((thrown: unknown) => operation.fail(thrown));
      }
    };
    await Promise.all(Array.from({ length: shardsInFlightMax }, takeSome));
    operation.throwIfFailed();
  }

  /**
   * Brings the shard into `target`, which has its size, from the first of its holders that has it whole. Resolves with what is wrong with all
   * copies of it, which leaves the operation as it is.
   */
  async tryFetch(shard: PlacedShard, target: Uint8Array): Promise<PaipaiError | undefined> {
    try {
      await this.#bring(shard, target);
      return undefined;
    } catch (thrown) {
      if (this.#fetch.operation.hasFailed || !isCopyFailure(thrown)) throw thrown;
      return thrown;
    }
  }

  close(): void {
    this.#fetch.operation.signal.removeEventListener('abort', this.#onFailure);
  }

  async #bring(shard: PlacedShard, target: Uint8Array): Promise<void> {
    const { operation, linksFor, onDamaged } = this.#fetch;
    const damaged: string[] = [];
    let failure: PaipaiError | undefined;
    for (const link of linksFor(shard)) {
      try {
        await this.#fetchFrom(link, shard, target);
      } catch (thrown) {
        if (operation.hasFailed || !isCopyFailure(thrown)) throw thrown;
        if (thrown.code !== 'PAIPAI_ERR_NODE_LOST') damaged.push(link.nodeId);
        failure ??= thrown;
        continue;
      }
      await Promise.all(damaged.map((nodeId) => onDamaged?.(shard, nodeId, target)));
      return;
    }
    throw failure ?? new RangeError(`shard ${shard.index} has no holder`);
  }

  async #fetchFrom(link: NodeLink, shard: PlacedShard, target: Uint8Array): Promise<void> {
    const { operation, dataId, version } = this.#fetch;
    const { peer, callWindow } = link;
    if (!(await callWindow.acquire(0, operation.signal))) throw operation.signal.reason;
    let stream: PeerStream | undefined;
    try {
      // Whoever failed meanwhile has reset the streams that there were.
      operation.throwIfFailed();
      const request = encodeGetRequest({ dataId, version, index: shard.index });
      stream = peer.openStream(getMethod, request, { deadlineMs: operation.remainingMs() });
      this.#streams.add(stream);
      await receiveShard(stream, shard, target);
    } catch (thrown) {
      throw nodeError(link, thrown);
    } finally {
      if (stream !== undefined) this.#streams.delete(stream);
      callWindow.release(0);
    }
  }
}

async function receiveShard(
  stream: PeerStream,
  { index, bytes, crc32c }: PlacedShard,
  target: Uint8Array,
): Promise<void> {
  const receiving = stream.receiveInto(target);
  stream.end();
  const received = await receiving;
  if (received.bytes !== bytes) {
    throw new PaipaiError('PAIPAI_ERR_SHARD_INCOMPLETE', `shard ${index} came back short`);
  }
  if (received.crc32c !== crc32c) {
    throw new PaipaiError('PAIPAI_ERR_SHARD_CHECKSUM', `shard ${index} came back changed`);
  }
}
