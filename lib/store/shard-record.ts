import { crc32c } from '../wire/crc32c.js';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../wire/little-endian.js';
import type { ShardKey, StoredShard } from './store.js';

/**
 * How a durable store writes down what it knows of a shard, beside the content. Little-endian:
 *
 *      0  magic "PPSH"    u32 | CRC32C of all that follows  u32
 *      8  content bytes   u32 | CRC32C of the content       u32
 *     16  shard index     u32 | shard count                 u32
 *     24  offset          u64
 *     32  total bytes     u64
 *     40  data version    u64
 *     48  flags (1: last) u16 | length of the data id       u16
 *     52  data id, UTF-8, then zeroes
 *    320
 */
export const recordBytes = 320;

const magic = 0x4853_5050;
const checkedFrom = 8;
const idOffset = 52;
const idBytesMax = 255;
const lastFlag = 1;

export function encodeRecord({ key, meta, bytes }: StoredShard): Buffer {
  const record = Buffer.alloc(recordBytes);
  const idBytes = record.write(key.dataId, idOffset, 'utf8');
  writeU32(record, 0, magic);
  writeU32(record, 8, bytes);
  writeU32(record, 12, meta.crc32c);
  writeU32(record, 16, key.index);
  writeU32(record, 20, meta.count);
  writeU64(record, 24, BigInt(meta.offset));
  writeU64(record, 32, BigInt(meta.totalBytes));
  writeU64(record, 40, key.version);
  writeU16(record, 48, meta.last ? lastFlag : 0);
  writeU16(record, 50, idBytes);
  writeU32(record, 4, crc32c(record, checkedFrom));
  return record;
}

/** Undefined when the bytes are not as `encodeRecord` left them. */
export function decodeRecord(record: Uint8Array): StoredShard | undefined {
  if (record.length !== recordBytes || readU32(record, 0) !== magic) return undefined;
  if (readU32(record, 4) !== crc32c(record, checkedFrom, recordBytes)) return undefined;
  const idBytes = Math.min(readU16(record, 50), idBytesMax);
  return {
    key: {
      dataId: Buffer.from(record.buffer, record.byteOffset + idOffset, idBytes).toString('utf8'),
      version: readU64(record, 40),
      index: readU32(record, 16),
    },
    meta: {
      count: readU32(record, 20),
      offset: Number(readU64(record, 24)),
      totalBytes: Number(readU64(record, 32)),
      crc32c: readU32(record, 12),
      last: (readU16(record, 48) & lastFlag) !== 0,
    },
    bytes: readU32(record, 8),
  };
}

/** The key as bytes: shards of one version of data lie together, in their order. */
export function encodeKey({ dataId, version, index }: ShardKey): Buffer {
  const id = Buffer.from(dataId, 'utf8');
  const bytes = Buffer.alloc(1 + id.length + 12);
  bytes[0] = id.length;
  id.copy(bytes, 1);
  bytes.writeBigUInt64BE(version, 1 + id.length);
  bytes.writeUInt32BE(index, 9 + id.length);
  return bytes;
}
