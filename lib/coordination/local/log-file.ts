import { ByteReader, ByteWriter, MalformedMessage } from '../../wire/byte-cursor.js';
import { crc32c } from '../../wire/crc32c.js';
import { readU32, writeU32 } from '../../wire/little-endian.js';
import { keyBytesMax, valueBytesMax } from '../coordinator.js';
import type { StoredChange } from './journal.js';

/**
 * The file of a journal. A header:
 *
 *     | magic u32 | CRC32C of what follows u32 | confirmed bytes u64 |
 *
 * then one batch behind the other:
 *
 *     | magic u32 | CRC32C of what follows u32 | bytes of the rest u32 | version u64 | changes u32 | of each: |
 *     | version u64 | lease u64, 0: none | its ttl in ms u32 | flags u16, 1: a value | key bytes u16 | value bytes u32 | key | value |
 *
 * Whatever lies before the confirmed bytes was synced. Behind them lies at most one batch that was being written when its process, or its machine, ended.
 */
const headerMagic = 0x334a5050; // The bytes `PPJ3`.
const batchMagic = 0x334b5050; // The bytes `PPK3`.
export const headerBytes = 16;
const batchHeaderBytes = 12;
const checkedFrom = 8;
const hasValue = 1;
const changeBytes = 28;
/** Of a lease that is over: so many keys go at once. A transaction has fewer. */
const changesMax = 1_024;
/** The values of a transaction are together no longer than one. */
const batchBytesMax: number =
  batchHeaderBytes + 12 + changesMax * (changeBytes + keyBytesMax) + 2 * valueBytesMax;

export interface Batch {
  /** The latest, of a change or a deletion that need not stand here any more. */
  readonly version: number;
  readonly changes: readonly StoredChange[];
}

export interface LogContent {
  readonly batches: readonly Batch[];
  /** Where they end: what lies behind is half a batch. */
  readonly endsAt: number;
}

export function encodeHeader(confirmedBytes: number): Uint8Array {
  const bytes = new ByteWriter().u32(headerMagic).u32(0).integer(confirmedBytes).finish();
  return withChecksum(bytes);
}

export function encodeBatch({ version, changes }: Batch): Uint8Array {
  const writer = new ByteWriter().u32(batchMagic).u32(0).u32(0).integer(version);
  writer.u32(changes.length);
  for (const { key, version: own, value, lease } of changes) {
    const keyBytes = Buffer.from(key);
    writer
      .integer(own)
      .integer(lease?.leaseId ?? 0)
      .u32(lease?.ttlMs ?? 0);
    writer.u16(value === undefined ? 0 : hasValue).u16(keyBytes.byteLength);
    writer.u32(value?.byteLength ?? 0).bytes(keyBytes);
    if (value !== undefined) writer.bytes(value);
  }
  const bytes = writer.finish();
  writeU32(bytes, 8, bytes.byteLength - batchHeaderBytes);
  return withChecksum(bytes);
}

/** Undefined when what was synced came to harm. */
export function decodeLog(bytes: Uint8Array): LogContent | undefined {
  const confirmedBytes = confirmedIn(bytes);
  if (confirmedBytes === undefined || confirmedBytes > bytes.byteLength) return undefined;
  const batches: Batch[] = [];
  let at = headerBytes;
  for (;;) {
    const found = decodeBatch(bytes, at);
    if (found === undefined) break;
    batches.push(found.batch);
    at = found.endsAt;
  }
  return at < confirmedBytes ? undefined : { batches, endsAt: at };
}

function confirmedIn(bytes: Uint8Array): number | undefined {
  if (bytes.byteLength < headerBytes || readU32(bytes, 0) !== headerMagic) return undefined;
  const header = bytes.subarray(0, headerBytes);
  if (readU32(header, 4) !== crc32c(header.subarray(checkedFrom))) return undefined;
  return new ByteReader(header.subarray(checkedFrom)).integer();
}

function decodeBatch(bytes: Uint8Array, at: number): { batch: Batch; endsAt: number } | undefined {
  if (bytes.byteLength - at < batchHeaderBytes || readU32(bytes, at) !== batchMagic) {
    return undefined;
  }
  const endsAt = at + batchHeaderBytes + readU32(bytes, at + 8);
  if (endsAt > bytes.byteLength || endsAt - at > batchBytesMax) return undefined;
  const checked = bytes.subarray(at + checkedFrom, endsAt);
  if (readU32(bytes, at + 4) !== crc32c(checked)) return undefined;
  try {
    const reader = new ByteReader(checked.subarray(4));
    const version = reader.integer();
    const count = reader.u32();
    if (count > changesMax) return undefined;
    const changes = Array.from({ length: count }, () => readChange(reader));
    return reader.isAtEnd ? { batch: { version, changes }, endsAt } : undefined;
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

function withChecksum(bytes: Uint8Array): Uint8Array {
  writeU32(bytes, 4, crc32c(bytes.subarray(checkedFrom)));
  return bytes;
}
