import { PaipaiError } from '../../base/errors.js';
import { shardBytesMax } from '../../wire/shard-header.js';
import { encodeValue } from '../../wire/values.js';
import { MessageFields, uint32Bytes } from './message-fields.js';

/** What client and node say to each other about shards. Putting and getting one are streams, the others are requests. */
export const putMethod = 'shard.put';
export const getMethod = 'shard.get';
export const listMethod = 'shard.list';
export const dropMethod = 'data.drop';

/** Shards that one message names. */
export const shardsPerMessageMax = 1_000_000;

/** Trailer of `shard.put` from the node: it has checked these bytes and stored them. */
export interface Confirmation {
  readonly bytes: number;
  readonly crc32c: number;
}

const checksumBytes = 4;

/** Trailer of `shard.put` from the client: CRC32C of the shard, which its header could not tell yet. */
export function encodeChecksum(crc32c: number): Uint8Array {
  const trailer = new Uint8Array(checksumBytes);
  new DataView(trailer.buffer).setUint32(0, crc32c, true);
  return trailer;
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeChecksum(trailer: Uint8Array): number {
  if (trailer.byteLength !== checksumBytes) {
    throw new PaipaiError(
      'PAIPAI_ERR_PROTOCOL',
      `a checksum has ${trailer.byteLength} bytes instead of ${checksumBytes}`,
    );
  }
  return new DataView(trailer.buffer, trailer.byteOffset, checksumBytes).getUint32(0, true);
}

/** There is one for every shard, so it is two numbers of 32 bits, little-endian, and no msgpack. */
const confirmationBytes = 8;

export function encodeConfirmation({ bytes, crc32c }: Confirmation): Uint8Array {
  const trailer = new Uint8Array(confirmationBytes);
  const view = new DataView(trailer.buffer);
  view.setUint32(0, bytes, true);
  view.setUint32(4, crc32c, true);
  return trailer;
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeConfirmation(trailer: Uint8Array): Confirmation {
  if (trailer.byteLength !== confirmationBytes) {
    throw new PaipaiError(
      'PAIPAI_ERR_PROTOCOL',
      `a confirmation has ${trailer.byteLength} bytes instead of ${confirmationBytes}`,
    );
  }
  const view = new DataView(trailer.buffer, trailer.byteOffset, confirmationBytes);
  return { bytes: view.getUint32(0, true), crc32c: view.getUint32(4, true) };
}

/** Metadata of `shard.get`; the node answers with the bytes. */
export interface GetRequest {
  readonly dataId: string;
  readonly version: bigint;
  readonly index: number;
}

export function encodeGetRequest({ dataId, version, index }: GetRequest): Uint8Array {
  return encodeValue({ dataId, version, index });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeGetRequest(bytes: Uint8Array): GetRequest {
  const fields = new MessageFields(getMethod, bytes);
  return {
    dataId: fields.string('dataId', 255),
    version: fields.uint64('version'),
    index: fields.integer('index', 0, 0xffff_ffff),
  };
}

/** How the version of a shard map travels in a request: not at all where there is none. */
export function mapField(mapVersion: number | undefined): { mapVersion?: number } {
  return mapVersion === undefined || mapVersion === 0 ? {} : { mapVersion };
}

/** 0 when there is none. */
export function readMapVersion(fields: MessageFields): number {
  return fields.has('mapVersion') ? fields.integer('mapVersion', 1, Number.MAX_SAFE_INTEGER) : 0;
}

/** Payload of `data.drop`. Shards that the node does not have are passed over. */
export interface DropRequest {
  readonly dataId: string;
  readonly version: bigint;
  /** All of them when undefined. */
  readonly shards?: readonly number[];
  /** Of the shard map under which they are dropped; 0, the default, without one. */
  readonly mapVersion?: number;
}

export function encodeDropRequest(request: DropRequest): Uint8Array {
  const { dataId, version, shards, mapVersion } = request;
  const named = shards === undefined ? {} : { shards: uint32Bytes(shards) };
  return encodeValue({ dataId, version, ...named, ...mapField(mapVersion) });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeDropRequest(bytes: Uint8Array): DropRequest {
  const fields = new MessageFields(dropMethod, bytes);
  return {
    dataId: fields.string('dataId', 255),
    version: fields.uint64('version'),
    ...(fields.has('shards')
      ? { shards: [...fields.uint32List('shards', shardsPerMessageMax)] }
      : {}),
    ...mapField(readMapVersion(fields)),
  };
}

/** Payload of `shard.list`: the shards of one version that the node has, from an index on. */
export interface ListRequest {
  readonly dataId: string;
  readonly version: bigint;
  readonly fromIndex: number;
  /** Of a shard map that is the caller's: nothing is changed under an older one behind the answer. 0, the default: it just asks. */
  readonly mapVersion?: number;
}

export function encodeListRequest(request: ListRequest): Uint8Array {
  const { dataId, version, fromIndex, mapVersion } = request;
  return encodeValue({ dataId, version, fromIndex, ...mapField(mapVersion) });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeListRequest(bytes: Uint8Array): ListRequest {
  const fields = new MessageFields(listMethod, bytes);
  return {
    dataId: fields.string('dataId', 255),
    version: fields.uint64('version'),
    fromIndex: fields.integer('fromIndex', 0, 0xffff_ffff),
    ...mapField(readMapVersion(fields)),
  };
}

/** A shard as a node lists it. */
export interface ListedShard {
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
  readonly crc32c: number;
  /** It says of itself that none follows. */
  readonly last: boolean;
}

/** One answer to `shard.list`; with `more`, others follow behind the last index in it. */
export interface ShardList {
  readonly shards: readonly ListedShard[];
  readonly more: boolean;
}

/** There may be very many, so each is packed: index, bytes, checksum as u32; offset as u64; flags as u32, of which bit 0 is `last`. */
const listedBytes = 24;
export const shardsPerListMax = 100_000;

export function encodeShardList({ shards, more }: ShardList): Uint8Array {
  const packed = new Uint8Array(shards.length * listedBytes);
  const view = new DataView(packed.buffer);
  shards.forEach(({ index, offset, bytes, crc32c, last }, at) => {
    const start = at * listedBytes;
    view.setUint32(start, index, true);
    view.setUint32(start + 4, bytes, true);
    view.setUint32(start + 8, crc32c, true);
    view.setUint32(start + 12, last ? 1 : 0, true);
    view.setBigUint64(start + 16, BigInt(offset), true);
  });
  return encodeValue({ shards: packed, more });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeShardList(bytes: Uint8Array): ShardList {
  const fields = new MessageFields(listMethod, bytes);
  const packed = fields.bytes('shards', shardsPerListMax * listedBytes);
  const more = fields.boolean('more');
  if (packed.byteLength % listedBytes !== 0 || (more && packed.byteLength === 0)) {
    throw malformedList('has its list cut short');
  }
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const shards: ListedShard[] = [];
  for (let start = 0; start < packed.byteLength; start += listedBytes) {
    const shard = {
      index: view.getUint32(start, true),
      bytes: view.getUint32(start + 4, true),
      crc32c: view.getUint32(start + 8, true),
      last: (view.getUint32(start + 12, true) & 1) === 1,
      offset: Number(view.getBigUint64(start + 16, true)),
    };
    if (shard.bytes === 0 || shard.bytes > shardBytesMax || !Number.isSafeInteger(shard.offset)) {
      throw malformedList(`has a shard of ${shard.bytes} bytes at ${shard.offset}`);
    }
    shards.push(shard);
  }
  return { shards, more };
}

function malformedList(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `the message ${listMethod} ${why}`);
}
