import { PaipaiError } from '../../base/errors.js';
import type { PeerStream } from '../../session/types.js';
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
 * Fails: PAIPAI_ERR_SHARD_CHECKSUM, _SHARD_INCOMPLETE, _NODE_LOST, and the operation's own end.
 */
export async function fetchShards(
  fetch: Fetch,
  shards: readonly PlacedShard[],
): Promise<Uint8Array> {
  const last = shards.at(-1);
  const whole = new Uint8Array(last === undefined ? 0 : last.offset + last.bytes);
  const fetcher = new ShardFetcher(fetch);
  try {
    await fetcher.fetchAll(shards, async (shard) => {
      await fetcher.fetch(shard, whole.subarray(shard.offset, shard.offset + shard.bytes));
    });
  } finally {
    fetcher.close();
  }
  return whole;
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

  /** Brings the shard into `target`, which has its size, from the first of its holders that has it whole. */
  async fetch(shard: PlacedShard, target: Uint8Array): Promise<void> {
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

  close(): void {
    this.#fetch.operation.signal.removeEventListener('abort', this.#onFailure);
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
