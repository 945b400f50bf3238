import { PaipaiError } from '../base/errors.js';
import { ByteReader, ByteWriter, MalformedMessage } from '../wire/byte-cursor.js';
import {
  changedBytesMax,
  idBytesMax,
  inDoubtListMax,
  recordKeyBytesMax,
  touchedRecordsMax,
} from './limits.js';

/** The methods of a node that keeps records; docs/WIRE.md draws their messages. */
export const getRecordMethod = 'record.get';
export const compareRecordsMethod = 'record.compare';
export const prepareMethod = 'transaction.prepare';
export const finishMethod = 'transaction.finish';
export const inDoubtMethod = 'transaction.in-doubt';

export interface RecordVersion {
  readonly key: string;
  /** Also of one that is not there. */
  readonly version: number;
}

/** What a transaction has read of a record, and what becomes of it; without a `change` it stays as it is. */
export interface TouchedRecord extends RecordVersion {
  /** A value of undefined deletes it. */
  readonly change?: { readonly value: Uint8Array | undefined } | undefined;
}

export interface Preparation {
  readonly id: string;
  /** Each key once. */
  readonly records: readonly TouchedRecord[];
}

/** `blocked`: by transactions that are not decided here. */
export type Vote =
  | { readonly kind: 'yes' | 'changed' }
  | { readonly kind: 'blocked'; readonly by: readonly string[] };

export type RecordAnswer =
  | { readonly kind: 'is'; readonly version: number; readonly value: Uint8Array | undefined }
  | { readonly kind: 'blocked'; readonly by: readonly string[] };

export type Outcome = 'committed' | 'aborted';

export interface InDoubt {
  readonly id: string;
  /** Since it was prepared there, or the node was started anew. */
  readonly forMs: number;
}

const hasChange = 1;
const hasValue = 2;
const voteKinds = ['yes', 'changed', 'blocked'] as const;
const outcomes = ['aborted', 'committed'] as const;

export function encodeKey(key: string): Uint8Array {
  return new ByteWriter().longText(key).finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, as all of these. */
export function decodeKey(payload: Uint8Array): string {
  return decode(getRecordMethod, payload, readKey);
}

export function encodeAnswer(answer: RecordAnswer): Uint8Array {
  const writer = new ByteWriter();
  if (answer.kind === 'blocked') return writeIds(writer.u8(0), answer.by).finish();
  writer
    .u8(1)
    .integer(answer.version)
    .u8(answer.value === undefined ? 0 : 1);
  if (answer.value !== undefined) writer.bytes(answer.value);
  return writer.finish();
}

export function decodeAnswer(payload: Uint8Array): RecordAnswer {
  return decode(getRecordMethod, payload, (reader) => {
    if (reader.u8() === 0) return { kind: 'blocked', by: readIds(reader) };
    const version = reader.integer();
    const value = reader.u8() === 0 ? undefined : reader.bytes(reader.bytesLeft);
    return { kind: 'is', version, value };
  });
}

export function encodeVersions(records: readonly RecordVersion[]): Uint8Array {
  const writer = new ByteWriter().u16(records.length);
  for (const { key, version } of records) writer.longText(key).integer(version);
  return writer.finish();
}

export function decodeVersions(payload: Uint8Array): RecordVersion[] {
  return decode(compareRecordsMethod, payload, (reader) =>
    Array.from({ length: readCount(reader) }, () => ({
      key: readKey(reader),
      version: reader.integer(),
    })),
  );
}

export function encodePreparation({ id, records }: Preparation): Uint8Array {
  const writer = new ByteWriter().text(id).u16(records.length);
  for (const { key, version, change } of records) {
    writer.longText(key).integer(version);
    if (change === undefined) writer.u8(0);
    else if (change.value === undefined) writer.u8(hasChange);
    else
      writer
        .u8(hasChange + hasValue)
        .u32(change.value.byteLength)
        .bytes(change.value);
  }
  return writer.finish();
}

export function decodePreparation(payload: Uint8Array): Preparation {
  return decode(prepareMethod, payload, (reader) => {
    const id = readId(reader);
    let changedBytes = 0;
    const records = Array.from({ length: readCount(reader) }, (): TouchedRecord => {
      const [key, version, flags] = [readKey(reader), reader.integer(), reader.u8()];
      if (flags === 0) return { key, version };
      const value = flags === hasChange ? undefined : reader.bytes(reader.u32());
      changedBytes += key.length + (value?.byteLength ?? 0);
      if (changedBytes > changedBytesMax) throw new MalformedMessage('it changes too much');
      return { key, version, change: { value } };
    });
    const keys = new Set(records.map(({ key }) => key));
    if (keys.size < records.length) throw new MalformedMessage('it names a record twice');
    return { id, records };
  });
}

export function encodeVote(vote: Vote): Uint8Array {
  const writer = new ByteWriter().u8(voteKinds.indexOf(vote.kind));
  return vote.kind === 'blocked' ? writeIds(writer, vote.by).finish() : writer.finish();
}

export function decodeVote(payload: Uint8Array): Vote {
  return decode(prepareMethod, payload, (reader) => {
    const kind = voteKinds[reader.u8()];
    if (kind === undefined) throw new MalformedMessage('its vote is none');
    return kind === 'blocked' ? { kind, by: readIds(reader) } : { kind };
  });
}

export function encodeFinish(id: string, outcome: Outcome): Uint8Array {
  return new ByteWriter().text(id).u8(outcomes.indexOf(outcome)).finish();
}

export function decodeFinish(payload: Uint8Array): { id: string; outcome: Outcome } {
  return decode(finishMethod, payload, (reader) => {
    const id = readId(reader);
    const outcome = outcomes[reader.u8()];
    if (outcome === undefined) throw new MalformedMessage('its outcome is none');
    return { id, outcome };
  });
}

export function encodeInDoubt(list: readonly InDoubt[]): Uint8Array {
  const writer = new ByteWriter().u16(list.length);
  for (const { id, forMs } of list) writer.text(id).f64(forMs);
  return writer.finish();
}

export function decodeInDoubt(payload: Uint8Array): InDoubt[] {
  return decode(inDoubtMethod, payload, (reader) => {
    const count = reader.u16();
    if (count > inDoubtListMax) throw new MalformedMessage(`it lists ${count} transactions`);
    return Array.from({ length: count }, () => ({ id: readId(reader), forMs: reader.f64() }));
  });
}

function writeIds(writer: ByteWriter, ids: readonly string[]): ByteWriter {
  writer.u16(ids.length);
  for (const id of ids) writer.text(id);
  return writer;
}

function readIds(reader: ByteReader): string[] {
  return Array.from({ length: readCount(reader) }, () => readId(reader));
}

function readId(reader: ByteReader): string {
  return reader.textOf(reader.u8(), 1, idBytesMax);
}

function readKey(reader: ByteReader): string {
  return reader.textOf(reader.u16(), 1, recordKeyBytesMax);
}

function readCount(reader: ByteReader): number {
  const count = reader.u16();
  if (count <= touchedRecordsMax) return count;
  throw new MalformedMessage(`it names ${count} instead of at most ${touchedRecordsMax}`);
}

function decode<T>(method: string, payload: Uint8Array, read: (reader: ByteReader) => T): T {
  try {
    const reader = new ByteReader(payload);
    const value = read(reader);
    if (!reader.isAtEnd) throw new MalformedMessage('bytes follow it');
    return value;
  } catch (thrown) {
    if (!(thrown instanceof MalformedMessage)) throw thrown;
    throw new PaipaiError(
      'PAIPAI_ERR_PROTOCOL',
      `a message of '${method}' is malformed: ${thrown.message}`,
      { method },
    );
  }
}
