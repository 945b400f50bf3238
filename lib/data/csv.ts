import type { Env } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import { FileSource } from './file-source.js';
import { BytesSource } from './memory-source.js';
import { byteOrderMarkBytes, closingQuote } from './record-scanner.js';
import type { DataSource } from './source.js';

/** Tables as RFC 4180 writes them, in UTF-8, with LF or CRLF. Lines without a byte are no records. */

export interface CsvHeader {
  readonly columns: readonly string[];
  /** Bytes before the first row: byte order mark, header and its newline. */
  readonly headerBytes: number;
  readonly bom: boolean;
}

/** A header lies in the first MiB, or it is none. */
const headerBytesMax = 1024 * 1024;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const quote = 0x22;
const comma = 0x2c;

/** One record under the parser. The object is used again for the next: read it during the callback only. */
export class CsvRecord {
  readonly #bytes: Buffer;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #quoted: boolean[] = [];
  #fieldCount = 0;

  constructor(bytes: Uint8Array) {
    // A Buffer reads memory that threads share, which TextDecoder may refuse.
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get fieldCount(): number {
    return this.#fieldCount;
  }

  /** The text of a field, from 0, without its quotes; undefined when this record has fewer fields. */
  text(field: number): string | undefined {
    if (field < 0 || field >= this.#fieldCount) return undefined;
    const text = this.#bytes.toString('utf8', this.#starts[field], this.#ends[field]);
    return this.#quoted[field] === true ? text.replaceAll('""', '"') : text;
  }

  texts(): string[] {
    // Every index is below the count, so each field is there.
    return Array.from({ length: this.#fieldCount }, (_, field) => this.text(field) as string);
  }

  /**
   * Reads the record that begins at `position` and returns where the next one begins.
   * @throws PaipaiError PAIPAI_ERR_CSV_SYNTAX
   */
  read(position: number): number {
    const bytes = this.#bytes;
    const length = bytes.byteLength;
    let at = position;
    this.#fieldCount = 0;
    for (;;) {
      const quoted = bytes[at] === quote;
      const start = quoted ? at + 1 : at;
      let end: number;
      if (quoted) {
        end = closingQuote(bytes, start);
        if (end < 0) throw syntaxError('The quotes of a field are not closed', at);
        at = end + 1;
        if (bytes[at] === carriageReturn && bytes[at + 1] === lineFeed) at++;
        const next = bytes[at];
        if (at < length && next !== comma && next !== lineFeed) {
          throw syntaxError('Text follows the closing quote of a field', at);
        }
      } else {
        while (at < length && bytes[at] !== comma && bytes[at] !== lineFeed) at++;
        const endsLine = bytes[at] === lineFeed;
        end = endsLine && at > start && bytes[at - 1] === carriageReturn ? at - 1 : at;
      }
      const field = this.#fieldCount++;
      this.#starts[field] = start;
      this.#ends[field] = end;
      this.#quoted[field] = quoted;
      if (bytes[at] !== comma) return Math.min(at + 1, length);
      at++;
    }
  }
}

/**
 * Calls `onRecord` for each record of `bytes`, which hold whole records (a shard cut with `records: 'csv'`), and returns how many
 * there were. `bytes` may be backed by a SharedArrayBuffer.
 * @throws PaipaiError PAIPAI_ERR_CSV_SYNTAX
 */
export function parseCsvRecords(
  bytes: Uint8Array,
  onRecord: (record: CsvRecord) => void,
  { skipHeader = false }: { skipHeader?: boolean } = {},
): number {
  const record = new CsvRecord(bytes);
  const length = bytes.byteLength;
  let position = skipBlankLines(bytes, byteOrderMarkBytes(bytes));
  if (skipHeader && position < length) position = skipBlankLines(bytes, record.read(position));
  let count = 0;
  while (position < length) {
    const next = record.read(position);
    onRecord(record);
    count++;
    position = skipBlankLines(bytes, next);
  }
  return count;
}

/**
 * The first record of a table: its column names.
 * @throws PaipaiError PAIPAI_ERR_DATA_EMPTY, PAIPAI_ERR_RECORD_TOO_LONG beyond 1 MiB, PAIPAI_ERR_CSV_SYNTAX,
 * PAIPAI_ERR_SOURCE_FAILED.
 */
export async function readCsvHeader(env: Env, table: string | Uint8Array): Promise<CsvHeader> {
  const source = typeof table === 'string' ? new FileSource(table) : new BytesSource(table);
  const sizeBytes = (await source.measure(env)) ?? 0; // Files and bytes know their size.
  const bytes = await firstBytes(env, source, headerBytesMax);
  const bomBytes = byteOrderMarkBytes(bytes);
  const start = skipBlankLines(bytes, bomBytes);
  if (start === bytes.byteLength) {
    throw new PaipaiError('PAIPAI_ERR_DATA_EMPTY', 'The table has no header: it has no record.');
  }
  const record = new CsvRecord(bytes);
  const headerBytes = record.read(start);
  if (bytes.byteLength < sizeBytes && bytes[headerBytes - 1] !== lineFeed) {
    throw new PaipaiError(
      'PAIPAI_ERR_RECORD_TOO_LONG',
      `The header of the table is longer than ${headerBytesMax} bytes.`,
    );
  }
  return { columns: record.texts(), headerBytes, bom: bomBytes > 0 };
}

/** @throws PaipaiError PAIPAI_ERR_CSV_COLUMN, which names the columns there are. */
export function columnIndex(header: CsvHeader, name: string): number {
  const index = header.columns.indexOf(name);
  if (index >= 0) return index;
  const shown = header.columns.slice(0, 40).map((column) => JSON.stringify(column));
  if (header.columns.length > shown.length) shown.push('…');
  throw new PaipaiError(
    'PAIPAI_ERR_CSV_COLUMN',
    `The table has no column ${JSON.stringify(name)}; it has ${shown.join(', ')}.`,
  );
}

async function firstBytes(env: Env, source: DataSource, bytesMax: number): Promise<Uint8Array> {
  for await (const block of source.blocks(env, { blockBytes: bytesMax })) {
    return block.bytes; // Not released, so nothing else is read into it.
  }
  return new Uint8Array(0);
}

function skipBlankLines(bytes: Uint8Array, position: number): number {
  let at = position;
  for (;;) {
    if (bytes[at] === lineFeed) at++;
    else if (bytes[at] === carriageReturn && bytes[at + 1] === lineFeed) at += 2;
    else return at;
  }
}

function syntaxError(what: string, position: number): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_CSV_SYNTAX',
    `${what}, at byte ${position} of these bytes. RFC 4180 says how a table is quoted.`,
  );
}
