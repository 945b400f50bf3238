import { PaipaiError } from '../base/errors.js';
import { ByteReader, ByteWriter, MalformedMessage } from '../wire/byte-cursor.js';
import { encodeText } from '../wire/text.js';
import type { CheckedTxn, ListSettings } from './check.js';
import {
  type Change,
  type CompareAndSetResult,
  type GrantedLease,
  type KeyList,
  type KeyState,
  type KeyVersion,
  keyBytesMax,
  listKeysMax,
  type QuorumMember,
  type TxnResult,
  type TxnSet,
  txnKeysMax,
  valueBytesMax,
} from './coordinator.js';

/**
 * A coordinator over a session. All but the watch are a request each; a watch is a stream, on which the changes come one behind the
 * other for as long as both sides want, and whose end on either side is that of the watch. docs/WIRE.md has the layouts.
 */
export const getKeyMethod = 'coordinator.get';
export const listKeysMethod = 'coordinator.list';
export const setKeyMethod = 'coordinator.set';
export const txnMethod = 'coordinator.txn';
export const leaseMethod = 'coordinator.lease';
export const watchKeyMethod = 'coordinator.watch';
export const membersMethod = 'coordinator.members';

export interface SetRequest {
  readonly key: string;
  readonly expectedVersion: number;
  readonly value: Uint8Array | undefined;
  readonly leaseId: number | undefined;
}

export type ListRequest = Pick<ListSettings, 'prefix' | 'limit' | 'after'>;

export interface WatchRequest {
  readonly key: string;
  readonly after: number;
}

/** The lease that is granted says how long; those that are kept or revoked are named. */
export type LeaseRequest =
  | { readonly kind: 'grant'; readonly ttlMs: number }
  | { readonly kind: 'keep' | 'revoke'; readonly leaseId: number };

/** Of a quorum: who they are, or that one is to be replaced. */
export type MembersRequest =
  | { readonly kind: 'list' }
  | { readonly kind: 'replace'; readonly oldNodeId: string; readonly newNodeId: string };

const leaseKinds = ['grant', 'keep', 'revoke'] as const;

const membersKinds = ['list', 'replace'] as const;
const memberStates = ['voting', 'wiped', 'silent'] as const;

/** Bit 0 of each `flags`: there is a value, or the list is whole. Bit 1 of an answer: it was set. */
const hasValue = 1;
const isSetFlag = 2;

/** Of each change on the stream of a watch. */
export const changeHeaderBytes = 16;

/** The whole payload is the key. */
export function encodeGet(key: string): Uint8Array {
  return encodeText(key);
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeGet(bytes: Uint8Array): string {
  return decode(getKeyMethod, bytes, (reader) => reader.textOf(reader.bytesLeft, 1, keyBytesMax));
}

/** `| expected version u64 | lease u64 | flags u16 | key bytes u16 | key | value |`; lease 0 is none. */
export function encodeSet({ key, expectedVersion, value, leaseId = 0 }: SetRequest): Uint8Array {
  const writer = new ByteWriter().integer(expectedVersion).integer(leaseId);
  writer.u16(value === undefined ? 0 : hasValue).longText(key);
  return writer.bytes(value ?? none).finish();
}

/** The value views `bytes`. @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeSet(bytes: Uint8Array): SetRequest {
  return decode(setKeyMethod, bytes, (reader) => {
    const expectedVersion = reader.integer();
    const leaseId = reader.integer();
    const flags = readFlags(reader.u16(), hasValue);
    const key = readKey(reader);
    const value = readValue(reader, flags, reader.bytesLeft);
    if (value === undefined && expectedVersion === 0) {
      throw new MalformedMessage('it deletes what is expected not to be there');
    }
    return { key, expectedVersion, value, leaseId: leaseOf(leaseId, value) };
  });
}

/** `| version u64 | as of u64 | flags u32 | 0 u32 | value |`, the answer to `get` and `set`. */
export function encodeState(state: KeyState & { readonly isSet?: boolean }): Uint8Array {
  const { value, version, asOf, isSet = false } = state;
  const flags = (value === undefined ? 0 : hasValue) | (isSet ? isSetFlag : 0);
  const writer = new ByteWriter().integer(version).integer(asOf).u32(flags).u32(0);
  return writer.bytes(value ?? none).finish();
}

/** The value is a copy. @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeState(method: string, bytes: Uint8Array): CompareAndSetResult {
  return decode(method, bytes, (reader) => {
    const version = reader.integer();
    const asOf = reader.integer();
    const flags = readFlags(reader.u32(), hasValue | isSetFlag);
    reader.u32();
    const value = readValue(reader, flags, reader.bytesLeft);
    if ((value === undefined) !== (version === 0) || asOf < version) {
      throw new MalformedMessage(`it tells of version ${version} as of ${asOf}`);
    }
    const copy = value === undefined ? undefined : Uint8Array.from(value);
    return { isSet: (flags & isSetFlag) !== 0, value: copy, version, asOf };
  });
}

/** `| limit u16 | prefix bytes u16 | after bytes u16 | prefix | after |`. */
export function encodeList({ prefix, limit, after = '' }: ListRequest): Uint8Array {
  const [prefixBytes, afterBytes] = [encodeText(prefix), encodeText(after)];
  const writer = new ByteWriter().u16(limit).u16(prefixBytes.byteLength);
  return writer.u16(afterBytes.byteLength).bytes(prefixBytes).bytes(afterBytes).finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeList(bytes: Uint8Array): ListRequest {
  return decode(listKeysMethod, bytes, (reader) => {
    const limit = reader.u16();
    if (limit < 1 || limit > listKeysMax) throw new MalformedMessage(`it asks for ${limit} keys`);
    const [prefixBytes, afterBytes] = [reader.u16(), reader.u16()];
    const prefix = reader.textOf(prefixBytes, 0, keyBytesMax);
    const after = reader.textOf(afterBytes, 0, keyBytesMax);
    return { prefix, limit, after: after === '' ? undefined : after };
  });
}

/** `| flags u16 | keys u16 |`, and of each key `| version u64 | key bytes u16 | key |`. */
export function encodeKeyList({ keys, isComplete }: KeyList): Uint8Array {
  const writer = new ByteWriter().u16(isComplete ? hasValue : 0).u16(keys.length);
  for (const { key, version } of keys) writer.integer(version).longText(key);
  return writer.finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeKeyList(bytes: Uint8Array): KeyList {
  return decode(listKeysMethod, bytes, (reader) => {
    const isComplete = readFlags(reader.u16(), hasValue) === hasValue;
    const keys = readList(reader, reader.u16(), listKeysMax, readKeyVersion);
    return { keys, isComplete };
  });
}

/**
 * `| expected u16 | set u16 |`, of each key that is expected `| version u64 | key bytes u16 | key |`, and of each that is set
 * `| lease u64 | flags u16 | value bytes u32 | key bytes u16 | key | value |`.
 */
export function encodeTxn({ expect, set }: CheckedTxn): Uint8Array {
  const writer = new ByteWriter().u16(expect.length).u16(set.length);
  for (const { key, version } of expect) writer.integer(version).longText(key);
  for (const { key, value, leaseId = 0 } of set) {
    writer.integer(leaseId).u16(value === undefined ? 0 : hasValue);
    writer
      .u32(value?.byteLength ?? 0)
      .longText(key)
      .bytes(value ?? none);
  }
  return writer.finish();
}

/** What its keys and values may be in all is not looked at. The values view `bytes`. @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeTxn(bytes: Uint8Array): CheckedTxn {
  return decode(txnMethod, bytes, (reader) => {
    const [expectCount, setCount] = [reader.u16(), reader.u16()];
    const expect = readList(reader, expectCount, txnKeysMax, readKeyVersion);
    const set = readList(reader, setCount, txnKeysMax, readTxnSet);
    return { expect, set };
  });
}

/** `| as of u64 | flags u16 | keys u16 |`, and the version u64 of each key, in the order in which the request first names them. */
export function encodeTxnResult({ isSet, versions, asOf }: TxnResult): Uint8Array {
  const writer = new ByteWriter()
    .integer(asOf)
    .u16(isSet ? isSetFlag : 0)
    .u16(versions.size);
  for (const version of versions.values()) writer.integer(version);
  return writer.finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeTxnResult(bytes: Uint8Array, { expect, set }: CheckedTxn): TxnResult {
  return decode(txnMethod, bytes, (reader) => {
    const asOf = reader.integer();
    const flags = readFlags(reader.u16(), isSetFlag);
    const keys = new Set([...expect, ...set].map(({ key }) => key));
    const count = reader.u16();
    if (count !== keys.size) throw new MalformedMessage(`it answers of ${count} keys`);
    const versions = new Map(Array.from(keys, (key) => [key, reader.integer()]));
    return { isSet: flags === isSetFlag, versions, asOf };
  });
}

/** `| kind u16 | 0 u16 | ttl in ms u32 | lease u64 |`. */
export function encodeLease(request: LeaseRequest): Uint8Array {
  const writer = new ByteWriter().u16(leaseKinds.indexOf(request.kind)).u16(0);
  return request.kind === 'grant'
    ? writer.u32(request.ttlMs).integer(0).finish()
    : writer.u32(0).integer(request.leaseId).finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeLease(bytes: Uint8Array): LeaseRequest {
  return decode(leaseMethod, bytes, (reader) => {
    const kind = leaseKinds[reader.u16()];
    reader.u16();
    const ttlMs = reader.u32();
    const leaseId = reader.integer();
    if (kind === undefined) throw new MalformedMessage('it asks for what no lease does');
    return kind === 'grant' ? { kind, ttlMs } : { kind, leaseId };
  });
}

/** `| lease u64 | ttl in ms u32 | 0 u32 |`. */
export function encodeGrantedLease({ leaseId, ttlMs }: GrantedLease): Uint8Array {
  return new ByteWriter().integer(leaseId).u32(ttlMs).u32(0).finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeGrantedLease(bytes: Uint8Array): GrantedLease {
  return decode(leaseMethod, bytes, (reader) => {
    const granted = { leaseId: reader.integer(), ttlMs: reader.u32() };
    reader.u32();
    return granted;
  });
}

/** `| kind u8 |`, and to replace one `| id bytes u8 | old id | id bytes u8 | new id |`. */
export function encodeMembersRequest(request: MembersRequest): Uint8Array {
  const writer = new ByteWriter().u8(membersKinds.indexOf(request.kind));
  if (request.kind === 'replace') writer.text(request.oldNodeId).text(request.newNodeId);
  return writer.finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeMembersRequest(bytes: Uint8Array): MembersRequest {
  return decode(membersMethod, bytes, (reader) => {
    const kind = membersKinds[reader.u8()];
    if (kind === undefined) throw new MalformedMessage('it asks for what no quorum does');
    return kind === 'list'
      ? { kind }
      : { kind, oldNodeId: reader.text(1), newNodeId: reader.text(1) };
  });
}

/** `| members u8 |`, and of each `| state u8 | id bytes u8 | id |`. */
export function encodeMemberList(members: readonly QuorumMember[]): Uint8Array {
  const writer = new ByteWriter().u8(members.length);
  for (const { nodeId, state } of members) writer.u8(memberStates.indexOf(state)).text(nodeId);
  return writer.finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeMemberList(bytes: Uint8Array): readonly QuorumMember[] {
  return decode(membersMethod, bytes, (reader) =>
    Array.from({ length: reader.u8() }, () => {
      const state = memberStates[reader.u8()];
      if (state === undefined) throw new MalformedMessage('a member is in no known state');
      return { nodeId: reader.text(1), state };
    }),
  );
}

/** `| after u64 | key |`. */
export function encodeWatch({ key, after }: WatchRequest): Uint8Array {
  return new ByteWriter().integer(after).bytes(encodeText(key)).finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeWatch(bytes: Uint8Array): WatchRequest {
  return decode(watchKeyMethod, bytes, (reader) => ({
    after: reader.integer(),
    key: reader.textOf(reader.bytesLeft, 1, keyBytesMax),
  }));
}

/** What stands before the value of a change: `| version u64 | flags u32 | value bytes u32 |`. */
export function encodeChangeHeader({ version, value }: Change): Uint8Array {
  const writer = new ByteWriter().integer(version).u32(value === undefined ? 0 : hasValue);
  return writer.u32(value?.byteLength ?? 0).finish();
}

/** A change whose value is still to come; `valueBytes` is undefined for a deletion. */
export interface ChangeHeader {
  readonly version: number;
  readonly valueBytes: number | undefined;
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeChangeHeader(bytes: Uint8Array): ChangeHeader {
  return decode(watchKeyMethod, bytes, (reader) => {
    const version = reader.integer();
    const flags = readFlags(reader.u32(), hasValue);
    const valueBytes = reader.u32();
    if (valueBytes > (flags === hasValue ? valueBytesMax : 0)) throw tooLong(valueBytes);
    return { version, valueBytes: flags === hasValue ? valueBytes : undefined };
  });
}

export function malformed(method: string, why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `the message ${method} is malformed: ${why}`);
}

const none = new Uint8Array(0);

/** What `read` makes of all the bytes. */
function decode<T>(method: string, bytes: Uint8Array, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(bytes);
  try {
    const message = read(reader);
    if (reader.isAtEnd) return message;
    throw new MalformedMessage('bytes follow it');
  } catch (thrown) {
    if (thrown instanceof MalformedMessage) throw malformed(method, thrown.message);
    throw thrown;
  }
}

function readList<T>(
  reader: ByteReader,
  count: number,
  countMax: number,
  read: (reader: ByteReader) => T,
): T[] {
  if (count > countMax) throw new MalformedMessage(`it names ${count} keys`);
  return Array.from({ length: count }, () => read(reader));
}

function readKeyVersion(reader: ByteReader): KeyVersion {
  const version = reader.integer();
  return { key: readKey(reader), version };
}

function readTxnSet(reader: ByteReader): TxnSet {
  const leaseId = reader.integer();
  const flags = readFlags(reader.u16(), hasValue);
  const valueBytes = reader.u32();
  const key = readKey(reader);
  const value = readValue(reader, flags, valueBytes);
  return { key, value, leaseId: leaseOf(leaseId, value) };
}

function readKey(reader: ByteReader): string {
  return reader.textOf(reader.u16(), 1, keyBytesMax);
}

function readFlags(flags: number, known: number): number {
  if ((flags & ~known) === 0) return flags;
  throw new MalformedMessage(`it has flags ${flags}`);
}

function readValue(reader: ByteReader, flags: number, byteCount: number): Uint8Array | undefined {
  const isThere = (flags & hasValue) !== 0;
  if (byteCount > (isThere ? valueBytesMax : 0)) throw tooLong(byteCount);
  return isThere ? reader.view(byteCount) : undefined;
}

function tooLong(byteCount: number): MalformedMessage {
  return new MalformedMessage(`it has a value of ${byteCount} bytes`);
}

function leaseOf(leaseId: number, value: Uint8Array | undefined): number | undefined {
  if (leaseId === 0) return undefined;
  if (value === undefined) throw new MalformedMessage('it deletes under a lease');
  return leaseId;
}
