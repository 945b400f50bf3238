import { PaipaiError } from '../../base/errors.js';
import type { PeerStream } from '../../session/types.js';
import { encodeGetRequest, getMethod } from './messages.js';
import { nodeError } from './node-error.js';
import type { NodeLink } from './node-link.js';
import type { Operation } from './operation.js';
import type { PlacedShard } from './shard-map.js';

export interface Fetch {
  readonly operation: Operation;
  readonly dataId: string;
  readonly version: bigint;
  /** All shards of the data, by index. */
  readonly shards: readonly PlacedShard[];
  /** A node that holds the shard and can be asked. */
  readonly linkFor: (shard: PlacedShard) => NodeLink;
}

const shardsInFlightMax = 16;

/**
 * Brings the shards back and puts them together, each checked against the checksum that it was sent with.
 * Fails: PAIPAI_ERR_SHARD_CHECKSUM, _SHARD_INCOMPLETE, _NODE_LOST, and the operation's own end.
 */
export async function fetchShards(fetch: Fetch): Promise<Uint8Array> {
  const { operation, shards } = fetch;
  const last = shards.at(-1);
  const whole = new Uint8Array(last === undefined ? 0 : last.offset + last.bytes);
  const rest = shards.values();
  const streams = new Set<PeerStream>();
  const onFailure = (): void => {
    for (const stream of streams) stream.reset(operation.signal.reason);
  };
  operation.signal.addEventListener('abort', onFailure, { once: true });
  const takeShards = async (): Promise<void> => {
    for (const shard of rest) {
      if (operation.hasFailed) return;
      try {
        await fetchShard(fetch, shard, whole, streams);
      } catch (thrown) {
        operation.fail(thrown);
      }
    }
  };
  await Promise.all(Array.from({ length: shardsInFlightMax }, takeShards));
  operation.signal.removeEventListener('abort', onFailure);
  operation.throwIfFailed();
  return whole;
}

async function fetchShard(
  fetch: Fetch,
  shard: PlacedShard,
  whole: Uint8Array,
  streams: Set<PeerStream>,
): Promise<void> {
  const { operation, dataId, version, linkFor } = fetch;
  const { index, offset, bytes } = shard;
  const link = linkFor(shard);
  const { peer, callWindow } = link;
  if (!(await callWindow.acquire(0, operation.signal))) return;
  let stream: PeerStream | undefined;
  try {
    // Whoever failed meanwhile has reset the streams that there were.
    operation.throwIfFailed();
    const deadlineMs = operation.remainingMs();
    stream = peer.openStream(getMethod, encodeGetRequest({ dataId, version, index }), {
      deadlineMs,
    });
    streams.add(stream);
    await receiveShard(stream, shard, whole.subarray(offset, offset + bytes));
  } catch (thrown) {
    throw nodeError(link, thrown);
  } finally {
    if (stream !== undefined) streams.delete(stream);
    callWindow.release(0);
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
