import { PaipaiError } from '../../base/errors.js';
import { encodeValue } from '../../wire/values.js';
import { MessageFields, uint32Bytes } from './message-fields.js';

/** What client and node say to each other about shards. Putting and getting one are streams, the others are requests. */
export const putMethod = 'shard.put';
export const getMethod = 'shard.get';
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

/** Payload of `data.drop`. Shards that the node does not have are passed over. */
export interface DropRequest {
  readonly dataId: string;
  readonly version: bigint;
  /** All of them when undefined. */
  readonly shards?: readonly number[];
}

export function encodeDropRequest({ dataId, version, shards }: DropRequest): Uint8Array {
  const named = shards === undefined ? {} : { shards: uint32Bytes(shards) };
  return encodeValue({ dataId, version, ...named });
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
  };
}
