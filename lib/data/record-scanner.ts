import type { RecordKind } from './shard.js';

/** Where the last whole record ends, and in which state the bytes behind it leave off. */
export interface RecordEnd {
  /** Offset behind the newline of the last whole record; 0 when no record ends here. */
  readonly end: number;
  /** The bytes end inside a quoted field of the record that begins at `end`. */
  readonly insideQuotes: boolean;
}

const lineFeed = 0x0a;
const quote = 0x22;
const comma = 0x2c;

/**
 * Finds the last end of a record in `bytes`, which begin with a record. In a table a quote opens a field only at the beginning of
 * that field (anywhere else in it, it is text, as in `5" pipe`), a doubled quote inside is text, and newlines inside are no ends.
 */
export function lastRecordEnd(bytes: Uint8Array, records: RecordKind): RecordEnd {
  if (records === 'csv') {
    // As a Buffer, since V8 looks for a byte in a Uint8Array one by one.
    const firstQuote = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(quote);
    if (firstQuote >= 0) return lastEndAmongQuotes(bytes, firstQuote);
  }
  return { end: bytes.lastIndexOf(lineFeed) + 1, insideQuotes: false };
}

/** Length of the UTF-8 byte order mark that `bytes` begin with: 3 or 0. */
export function byteOrderMarkBytes(bytes: Uint8Array): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}

function lastEndAmongQuotes(bytes: Uint8Array, firstQuote: number): RecordEnd {
  const length = bytes.byteLength;
  let end = firstQuote === 0 ? 0 : bytes.lastIndexOf(lineFeed, firstQuote - 1) + 1;
  let position = firstQuote;
  let fieldBegins = opensField(bytes, firstQuote);
  while (position < length) {
    const byte = bytes[position++];
    if (byte === quote && fieldBegins) {
      position = closingQuote(bytes, position) + 1;
      if (position === 0) return { end, insideQuotes: true };
      fieldBegins = false;
    } else if (byte === lineFeed) {
      end = position;
      fieldBegins = true;
    } else {
      fieldBegins = byte === comma;
    }
  }
  return { end, insideQuotes: false };
}

function opensField(bytes: Uint8Array, position: number): boolean {
  if (position === byteOrderMarkBytes(bytes)) return true;
  const before = bytes[position - 1];
  return before === comma || before === lineFeed;
}

/** The quote that closes the field whose text begins at `position`, or -1. */
export function closingQuote(bytes: Uint8Array, position: number): number {
  const length = bytes.byteLength;
  for (let at = position; at < length; at++) {
    if (bytes[at] !== quote) continue;
    if (bytes[at + 1] !== quote) return at;
    at++;
  }
  return -1;
}
