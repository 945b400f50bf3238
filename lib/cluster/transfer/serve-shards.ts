import { PaipaiError } from '../../base/errors.js';
import { shardCountMax } from '../../data/shard.js';
import type { PeerStream } from '../../session/types.js';
import type { ShardStore } from '../../store/store.js';
import type { ShardHeader } from '../../wire/shard-header.js';
import type { ByteWindow } from './byte-window.js';
import { dataPerListMax, decodeDataListRequest, encodeDataList } from './data-list.js';
import type { MapFences } from './map-fences.js';
import {
  decodeChecksum,
  decodeDropRequest,
  decodeGetRequest,
  decodeListRequest,
  encodeConfirmation,
  encodeShardList,
  shardsPerListMax,
} from './messages.js';
import type { ShardTools } from './shard-tools.js';

/** Of no shard. */
const noIndex = shardCountMax;

/** The receiving side: what a node does with the streams and requests of `messages.ts`. */

/**
 * Takes one shard in: its turn and room first, then the bytes straight into it, then the check, then the store makes it as safe as it can, then
 * the confirmation. Whatever fails
 * gives the room back and resets the stream with its code.
 * @param incoming bounds the room of shards that are not there yet, so that headers alone cannot fill the store
 */
export async function servePut(
  stream: PeerStream,
  store: ShardStore,
  incoming: ByteWindow,
  { shardCodec }: ShardTools,
  fences?: MapFences,
): Promise<void> {
  const header = shardCodec.decode(stream.metadata);
  const { shardBytes, dataId, dataVersion: version } = header;
  const mapVersion = mapVersionOf(header);
  const admitted = fences?.admitChange({ dataId, version }, mapVersion);
  if (admitted !== undefined) await admitted;
  if (!incoming.tryAcquire(shardBytes) && !(await incoming.acquire(shardBytes, stream.signal))) {
    throw stream.signal.reason;
  }
  try {
    await takeShard(stream, store, header, () =>
      fences?.checkChange({ dataId, version }, mapVersion),
    );
  } finally {
    incoming.release(shardBytes);
  }
}

async function takeShard(
  stream: PeerStream,
  store: ShardStore,
  header: ShardHeader,
  check: () => void,
): Promise<void> {
  const { dataId, dataVersion: version, shardIndex: index, shardBytes } = header;
  const reservation = store.reserve({ dataId, version, index }, shardBytes);
  try {
    const { bytes, crc32c, trailer } = await stream.receiveInto(reservation.view);
    if (bytes !== shardBytes) {
      throw new PaipaiError(
        'PAIPAI_ERR_SHARD_INCOMPLETE',
        `shard ${index} of data ${dataId} ended after ${bytes} of ${shardBytes} bytes`,
      );
    }
    const expected = header.checksumFollows ? decodeChecksum(trailer) : header.contentCrc32c;
    if (crc32c !== expected) {
      throw new PaipaiError(
        'PAIPAI_ERR_SHARD_CHECKSUM',
        `shard ${index} of data ${dataId} does not match its checksum`,
      );
    }
    const { shardCount: count, offset, totalBytes, last } = header;
    // The reset may have come right behind the last byte, and the sender's `data.drop` behind it: this runs after both. One that comes
    // from here on drops the shard, since stores keep to the order of the calls.
    stream.signal.throwIfAborted();
    // Somebody with a newer shard map may have come since the stream was opened.
    check();
    await reservation.commit({ count, offset, totalBytes, crc32c, last });
    stream.signal.throwIfAborted();
    stream.end(encodeConfirmation({ bytes, crc32c }));
  } finally {
    reservation.abort();
  }
}

/** Sends one stored shard back. */
export async function serveGet(stream: PeerStream, store: ShardStore): Promise<void> {
  const key = decodeGetRequest(stream.metadata);
  const lease = await store.get(key);
  if (lease === undefined) {
    throw new PaipaiError(
      'PAIPAI_ERR_UNKNOWN_DATA',
      `this node has no shard ${key.index} of data ${key.dataId}`,
    );
  }
  try {
    await stream.write(lease.view);
    stream.end();
  } finally {
    lease.release();
  }
}

/** @throws PaipaiError PAIPAI_ERR_SHARD_HEADER. */
function mapVersionOf({ fencingToken }: ShardHeader): number {
  if (fencingToken <= Number.MAX_SAFE_INTEGER) return Number(fencingToken);
  throw new PaipaiError('PAIPAI_ERR_SHARD_HEADER', `no shard map has version ${fencingToken}`);
}

export async function serveDrop(
  payload: Uint8Array,
  store: ShardStore,
  fences?: MapFences,
): Promise<Uint8Array> {
  const { dataId, version, shards, mapVersion = 0 } = decodeDropRequest(payload);
  const admitted = fences?.admitDrop({ dataId, version }, mapVersion);
  if (admitted !== undefined) await admitted;
  // In the turn in which the store is told: what comes later under a newer map stands behind it.
  fences?.checkChange({ dataId, version }, mapVersion);
  if (shards === undefined) await store.drop({ dataId, version });
  else await Promise.all(Array.from(shards, (index) => store.drop({ dataId, version, index })));
  return new Uint8Array(0);
}

/**
 * Says which shards of one version are here. For who claims the data by a shard map the answer holds until the next claim: whatever was begun
 * under an older one is done or refused by then.
 */
export async function serveList(
  payload: Uint8Array,
  store: ShardStore,
  fences?: MapFences,
): Promise<Uint8Array> {
  const { dataId, version, fromIndex, mapVersion = 0 } = decodeListRequest(payload);
  if (fences !== undefined && mapVersion > 0) {
    await fences.admitChange({ dataId, version }, mapVersion);
    // Behind everything that the store has been told.
    await store.drop({ dataId, version, index: noIndex });
    fences.checkChange({ dataId, version }, mapVersion);
  }
  const rest = store.list(dataId, version).filter(({ key }) => key.index >= fromIndex);
  const shards = rest.slice(0, shardsPerListMax).map(({ key, meta, bytes }) => ({
    index: key.index,
    offset: meta.offset,
    bytes,
    crc32c: meta.crc32c,
    last: meta.last,
  }));
  return encodeShardList({ shards, more: rest.length > shards.length });
}

/** Says of which data there are shards here. */
export function serveDataList(payload: Uint8Array, store: ShardStore): Uint8Array {
  const range = decodeDataListRequest(payload);
  const found = store.contents({ ...range, countMax: dataPerListMax + 1 });
  const data = found.slice(0, dataPerListMax);
  return encodeDataList({ data, more: found.length > data.length });
}
