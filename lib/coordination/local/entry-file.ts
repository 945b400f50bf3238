import { ByteReader, ByteWriter, MalformedMessage } from '../../wire/byte-cursor.js';
import { crc32c } from '../../wire/crc32c.js';
import { readU32, writeU32 } from '../../wire/little-endian.js';
import { keyBytesMax, valueBytesMax } from '../coordinator.js';
import type { StoredChange } from './journal.js';

/**
 * Changes in a file:
 *
 *     | magic u32 | CRC32C of what follows u32 | changes u32 |
 *
 * and of each
 *
 *     | version u64 | lease u64, 0: none | its ttl in ms u32 | flags u16, 1: a value | key bytes u16 | value bytes u32 | key | value |
 */
const magic = 0x324b5050; // The bytes `PPK2`.
const headerBytes = 12;
const changeHeaderBytes = 28;
const checkedFrom = 8;
const hasValue = 1;
/** Of a lease that is over: so many keys go at once. A transaction has fewer. */
const changesMax = 1_024;

export const oneChangeBytesMax: number =
  headerBytes + changeHeaderBytes + keyBytesMax + valueBytesMax;
/** The values of a transaction are together no longer than one. */
export const changesBytesMax: number =
  headerBytes + changesMax * (changeHeaderBytes + keyBytesMax) + valueBytesMax;

export function encodeChanges(changes: readonly StoredChange[]): Uint8Array {
  const writer = new ByteWriter().u32(magic).u32(0).u32(changes.length);
  for (const { key, version, value, lease } of changes) {
    const keyBytes = Buffer.from(key);
    writer
      .integer(version)
      .integer(lease?.leaseId ?? 0)
      .u32(lease?.ttlMs ?? 0);
    writer.u16(value === undefined ? 0 : hasValue).u16(keyBytes.byteLength);
    writer.u32(value?.byteLength ?? 0).bytes(keyBytes);
    if (value !== undefined) writer.bytes(value);
  }
  const bytes = writer.finish();
  writeU32(bytes, 4, crc32c(bytes.subarray(checkedFrom)));
  return bytes;
}

/** Undefined when the bytes came to harm. */
export function decodeChanges(bytes: Uint8Array): StoredChange[] | undefined {
  if (bytes.byteLength < headerBytes || readU32(bytes, 0) !== magic) return undefined;
  if (readU32(bytes, 4) !== crc32c(bytes.subarray(checkedFrom))) return undefined;
  try {
    const reader = new ByteReader(bytes.subarray(checkedFrom));
    const count = reader.u32();
    if (count > changesMax) return undefined;
    const changes = Array.from({ length: count }, () => readChange(reader));
    return reader.isAtEnd ? changes : undefined;
  } catch (thrown) {
    if (thrown instanceof MalformedMessage) return undefined;
    throw thrown;
  }
}

function readChange(reader: ByteReader): StoredChange {
  const version = reader.integer();
  const leaseId = reader.integer();
  const ttlMs = reader.u32();
  const isThere = reader.u16() === hasValue;
  const keyBytes = reader.u16();
  const valueBytes = reader.u32();
  const key = reader.textOf(keyBytes, 1, keyBytesMax);
  if (valueBytes > valueBytesMax) throw new MalformedMessage('a value is too long');
  const value = reader.bytes(valueBytes);
  const lease = leaseId === 0 ? undefined : { leaseId, ttlMs };
  return { key, version, value: isThere ? value : undefined, lease };
}
