import type { PaipaiCode } from '../base/codes.js';
import { PaipaiError } from '../base/errors.js';
import { crc32c, extendCrc32c } from './crc32c.js';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from './little-endian.js';
import { decodeText, encodeText } from './text.js';

/**
 * What travels ahead of a shard's bytes, as metadata of their stream: 64 bytes, then the ids, padded with zeros to a
 * multiple of 8. docs/WIRE.md draws it.
 */
export interface ShardHeader {
  compressed: boolean;
  encrypted: boolean;
  /** The last shard of its data: from here on their count and total are known. */
  last: boolean;
  /** The sender reads the content only once: its checksum stands in the trailer, and 0 in the header. */
  checksumFollows: boolean;
  /** CRC32C of what was cut, before compression and encryption. */
  contentCrc32c: number;
  dataVersion: bigint;
  fencingToken: bigint;
  shardIndex: number;
  /** 0 when not known yet, together with `totalBytes`. */
  shardCount: number;
  /** Where the shard begins in its data, in bytes. */
  offset: number;
  /** Length of the data; 0 when not known yet. */
  totalBytes: number;
  /** 1 to 64 MiB. */
  shardBytes: number;
  /** 1 to 255 bytes of UTF-8 each. */
  dataId: string;
  sourceId: string;
  /** The node that a centre routes to; absent when the receiver is meant. */
  targetId?: string;
}

export const shardBytesMax: number = 64 * 1024 * 1024;

const layout = 1;
const fixedBytes = 64;
const crcAt = 56;
const idBytesMax = 255;
const flag = { compressed: 1, encrypted: 2, last: 4, checksumFollows: 8 } as const;
const zeroField = new Uint8Array(4);

/** @throws PaipaiError PAIPAI_ERR_SHARD_SIZE or PAIPAI_ERR_SHARD_HEADER when a field is out of range. */
export function encodeShardHeader(header: ShardHeader): Uint8Array {
  checkRules(header);
  const dataId = encodeId('data id', header.dataId);
  const sourceId = encodeId('source id', header.sourceId);
  const targetId =
    header.targetId === undefined
      ? zeroField.subarray(0, 0)
      : encodeId('target id', header.targetId);
  const idBytes = dataId.length + sourceId.length + targetId.length;
  const bytes = new Uint8Array(padded(fixedBytes + idBytes));
  writeU16(bytes, 0, layout);
  writeU16(
    bytes,
    2,
    (header.compressed ? flag.compressed : 0) |
      (header.encrypted ? flag.encrypted : 0) |
      (header.last ? flag.last : 0) |
      (header.checksumFollows ? flag.checksumFollows : 0),
  );
  writeU32(bytes, 4, header.contentCrc32c);
  writeU64(bytes, 8, header.dataVersion);
  writeU64(bytes, 16, header.fencingToken);
  writeU32(bytes, 24, header.shardIndex);
  writeU32(bytes, 28, header.shardCount);
  writeU64(bytes, 32, BigInt(header.offset));
  writeU64(bytes, 40, BigInt(header.totalBytes));
  writeU32(bytes, 48, header.shardBytes);
  bytes[52] = dataId.length;
  bytes[53] = sourceId.length;
  bytes[54] = targetId.length;
  bytes.set(dataId, fixedBytes);
  bytes.set(sourceId, fixedBytes + dataId.length);
  bytes.set(targetId, fixedBytes + dataId.length + sourceId.length);
  writeU32(bytes, crcAt, crc32c(bytes));
  return bytes;
}

function encodeId(what: string, text: string): Uint8Array {
  const bytes = encodeText(text);
  if (bytes.length >= 1 && bytes.length <= idBytesMax) return bytes;
  throw malformed(`the ${what} has ${bytes.length} bytes instead of 1 to ${idBytesMax}`);
}

/** @throws PaipaiError PAIPAI_ERR_SHARD_HEADER, or PAIPAI_ERR_SHARD_SIZE when the size alone is out of range. */
export function decodeShardHeader(bytes: Uint8Array): ShardHeader {
  if (bytes.length < fixedBytes) throw malformed(`it has ${bytes.length} bytes`);
  if (readU16(bytes, 0) !== layout) throw malformed(`its layout is ${readU16(bytes, 0)}`);
  const dataIdEnd = fixedBytes + bytes[52]!;
  const sourceIdEnd = dataIdEnd + bytes[53]!;
  const targetIdEnd = sourceIdEnd + bytes[54]!;
  if (bytes.length !== padded(targetIdEnd)) {
    throw malformed(`it has ${bytes.length} bytes and announces ${padded(targetIdEnd)}`);
  }
  if (readU32(bytes, crcAt) !== crcWithoutField(bytes)) {
    throw malformed('it does not match its checksum');
  }
  const flags = readU16(bytes, 2);
  if (flags > 15) throw malformed(`its flags are ${flags}`);
  if (bytes[55] !== 0 || readU32(bytes, 60) !== 0 || !isZero(bytes, targetIdEnd)) {
    throw malformed('a reserved field is not 0');
  }
  const dataId = decodeText(bytes, fixedBytes, dataIdEnd);
  const sourceId = decodeText(bytes, dataIdEnd, sourceIdEnd);
  const targetId = decodeText(bytes, sourceIdEnd, targetIdEnd);
  if (dataId === undefined || sourceId === undefined || targetId === undefined) {
    throw malformed('an id is not UTF-8');
  }
  if (dataId === '' || sourceId === '') throw malformed('an id is empty');
  const header: ShardHeader = {
    compressed: (flags & flag.compressed) !== 0,
    encrypted: (flags & flag.encrypted) !== 0,
    last: (flags & flag.last) !== 0,
    checksumFollows: (flags & flag.checksumFollows) !== 0,
    contentCrc32c: readU32(bytes, 4),
    dataVersion: readU64(bytes, 8),
    fencingToken: readU64(bytes, 16),
    shardIndex: readU32(bytes, 24),
    shardCount: readU32(bytes, 28),
    offset: Number(readU64(bytes, 32)),
    totalBytes: Number(readU64(bytes, 40)),
    shardBytes: readU32(bytes, 48),
    dataId,
    sourceId,
    ...(targetId === '' ? {} : { targetId }),
  };
  checkRules(header);
  return header;
}

/** The rules between fields, the same for both directions. */
function checkRules(header: ShardHeader): void {
  const { shardIndex, shardCount, offset, totalBytes, shardBytes } = header;
  if (!(shardBytes >= 1 && shardBytes <= shardBytesMax)) {
    throw refuse(
      'PAIPAI_ERR_SHARD_SIZE',
      `a shard has ${shardBytes} bytes instead of 1 to ${shardBytesMax}`,
    );
  }
  // Beyond 2^53 a double would round what the field says.
  if (!Number.isSafeInteger(offset + shardBytes) || !Number.isSafeInteger(totalBytes)) {
    throw malformed('an offset is beyond 2^53');
  }
  if (header.checksumFollows && header.contentCrc32c !== 0) {
    throw malformed('its checksum follows, and stands in it, too');
  }
  if ((shardCount === 0) !== (totalBytes === 0)) {
    throw malformed('of count and total only one is known');
  }
  if (shardCount === 0) {
    if (header.last) throw malformed('the last shard does not know count and total');
    return;
  }
  if (shardIndex >= shardCount) {
    throw malformed(`shard ${shardIndex} is beyond the count of ${shardCount}`);
  }
  if (shardBytes > totalBytes - offset) {
    throw malformed(
      `bytes ${offset} to ${offset + shardBytes} are beyond the total of ${totalBytes}`,
    );
  }
}

function padded(byteCount: number): number {
  return (byteCount + 7) & ~7;
}

function isZero(bytes: Uint8Array, start: number): boolean {
  for (let at = start; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}

function crcWithoutField(bytes: Uint8Array): number {
  return extendCrc32c(extendCrc32c(crc32c(bytes, 0, crcAt), zeroField), bytes, crcAt + 4);
}

function refuse(code: PaipaiCode, message: string): PaipaiError {
  return new PaipaiError(code, message);
}

function malformed(why: string): PaipaiError {
  return refuse('PAIPAI_ERR_SHARD_HEADER', `a shard header is malformed: ${why}`);
}
