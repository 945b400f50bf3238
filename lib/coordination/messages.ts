import { PaipaiError } from '../base/errors.js';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../wire/little-endian.js';
import { decodeText, encodeText } from '../wire/text.js';
import {
  type Change,
  type CompareAndSetResult,
  type KeyState,
  keyBytesMax,
  valueBytesMax,
} from './coordinator.js';

/**
 * A coordinator over a session. `get` and `compareAndSet` are a request each; a watch is a stream, on which the changes come one behind the
 * other for as long as both sides want, and whose end on either side is that of the watch. docs/WIRE.md has the layouts.
 */
export const getKeyMethod = 'coordinator.get';
export const setKeyMethod = 'coordinator.set';
export const watchKeyMethod = 'coordinator.watch';

export interface SetRequest {
  readonly key: string;
  readonly expectedVersion: number;
  readonly value: Uint8Array | undefined;
}

export interface WatchRequest {
  readonly key: string;
  readonly after: number;
}

/** Bit 0 of each `flags`: there is a value. Bit 1 of an answer: it was set. */
const hasValue = 1;
const isSetFlag = 2;

const setHeaderBytes = 12;
const stateHeaderBytes = 24;
const watchHeaderBytes = 8;
/** Of each change on the stream of a watch. */
export const changeHeaderBytes = 16;

/** The whole payload is the key. */
export function encodeGet(key: string): Uint8Array {
  return encodeText(key);
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeGet(bytes: Uint8Array): string {
  return readKey(getKeyMethod, bytes, 0, bytes.byteLength);
}

/** `| expected version u64 | key bytes u16 | flags u16 | key | value |`. */
export function encodeSet({ key, expectedVersion, value }: SetRequest): Uint8Array {
  const keyBytes = encodeText(key);
  const valueStart = setHeaderBytes + keyBytes.byteLength;
  const bytes = new Uint8Array(valueStart + (value?.byteLength ?? 0));
  writeU64(bytes, 0, BigInt(expectedVersion));
  writeU16(bytes, 8, keyBytes.byteLength);
  writeU16(bytes, 10, value === undefined ? 0 : hasValue);
  bytes.set(keyBytes, setHeaderBytes);
  if (value !== undefined) bytes.set(value, valueStart);
  return bytes;
}

/** The value views `bytes`. @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeSet(bytes: Uint8Array): SetRequest {
  if (bytes.byteLength < setHeaderBytes) throw malformed(setKeyMethod, 'is cut short');
  const expectedVersion = readVersion(setKeyMethod, bytes, 0);
  const valueStart = setHeaderBytes + readU16(bytes, 8);
  if (valueStart > bytes.byteLength) throw malformed(setKeyMethod, 'is cut short');
  const key = readKey(setKeyMethod, bytes, setHeaderBytes, valueStart);
  const value = readValue(setKeyMethod, readU16(bytes, 10), hasValue, bytes.subarray(valueStart));
  if (value === undefined && expectedVersion === 0) {
    throw malformed(setKeyMethod, 'deletes what is expected not to be there');
  }
  return { key, expectedVersion, value };
}

/** `| version u64 | as of u64 | flags u32 | 0 u32 | value |`, the answer to both requests. */
export function encodeState(state: KeyState & { readonly isSet?: boolean }): Uint8Array {
  const { value, version, asOf, isSet = false } = state;
  const bytes = new Uint8Array(stateHeaderBytes + (value?.byteLength ?? 0));
  writeU64(bytes, 0, BigInt(version));
  writeU64(bytes, 8, BigInt(asOf));
  writeU32(bytes, 16, (value === undefined ? 0 : hasValue) | (isSet ? isSetFlag : 0));
  if (value !== undefined) bytes.set(value, stateHeaderBytes);
  return bytes;
}

/** The value is a copy. @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeState(method: string, bytes: Uint8Array): CompareAndSetResult {
  if (bytes.byteLength < stateHeaderBytes) throw malformed(method, 'is cut short');
  const version = readVersion(method, bytes, 0);
  const asOf = readVersion(method, bytes, 8);
  const flags = readU32(bytes, 16);
  const rest = bytes.subarray(stateHeaderBytes);
  const value = readValue(method, flags, hasValue | isSetFlag, rest);
  if ((value === undefined) !== (version === 0) || asOf < version) {
    throw malformed(method, `tells of version ${version} as of ${asOf}`);
  }
  const copy = value === undefined ? undefined : Uint8Array.from(value);
  return { isSet: (flags & isSetFlag) !== 0, value: copy, version, asOf };
}

/** `| after u64 | key |`. */
export function encodeWatch({ key, after }: WatchRequest): Uint8Array {
  const keyBytes = encodeText(key);
  const bytes = new Uint8Array(watchHeaderBytes + keyBytes.byteLength);
  writeU64(bytes, 0, BigInt(after));
  bytes.set(keyBytes, watchHeaderBytes);
  return bytes;
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeWatch(bytes: Uint8Array): WatchRequest {
  if (bytes.byteLength < watchHeaderBytes) throw malformed(watchKeyMethod, 'is cut short');
  return {
    after: readVersion(watchKeyMethod, bytes, 0),
    key: readKey(watchKeyMethod, bytes, watchHeaderBytes, bytes.byteLength),
  };
}

/** What stands before the value of a change: `| version u64 | flags u32 | value bytes u32 |`. */
export function encodeChangeHeader({ version, value }: Change): Uint8Array {
  const bytes = new Uint8Array(changeHeaderBytes);
  writeU64(bytes, 0, BigInt(version));
  writeU32(bytes, 8, value === undefined ? 0 : hasValue);
  writeU32(bytes, 12, value?.byteLength ?? 0);
  return bytes;
}

/** A change whose value is still to come; `valueBytes` is undefined for a deletion. */
export interface ChangeHeader {
  readonly version: number;
  readonly valueBytes: number | undefined;
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeChangeHeader(bytes: Uint8Array): ChangeHeader {
  const version = readVersion(watchKeyMethod, bytes, 0);
  const flags = readU32(bytes, 8);
  const valueBytes = readU32(bytes, 12);
  const isSane = flags === hasValue ? valueBytes <= valueBytesMax : flags === 0 && valueBytes === 0;
  if (!isSane) throw malformed(watchKeyMethod, `announces a value of ${valueBytes} bytes`);
  return { version, valueBytes: flags === hasValue ? valueBytes : undefined };
}

export function malformed(method: string, why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `the message ${method} ${why}`);
}

function readVersion(method: string, bytes: Uint8Array, at: number): number {
  const version = readU64(bytes, at);
  if (version <= Number.MAX_SAFE_INTEGER) return Number(version);
  throw malformed(method, `names version ${version}`);
}

function readKey(method: string, bytes: Uint8Array, start: number, end: number): string {
  const byteCount = end - start;
  const key = byteCount < 1 || byteCount > keyBytesMax ? undefined : decodeText(bytes, start, end);
  if (key !== undefined) return key;
  throw malformed(method, `needs a key, 1 to ${keyBytesMax} bytes of UTF-8`);
}

function readValue(
  method: string,
  flags: number,
  known: number,
  rest: Uint8Array,
): Uint8Array | undefined {
  if ((flags & ~known) !== 0) throw malformed(method, `has flags ${flags}`);
  const isThere = (flags & hasValue) !== 0;
  if (rest.byteLength > (isThere ? valueBytesMax : 0)) {
    throw malformed(method, `has a value of ${rest.byteLength} bytes`);
  }
  return isThere ? rest : undefined;
}
