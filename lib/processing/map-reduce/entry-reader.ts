import { decodeValue } from '../../wire/values.js';
import { Kind } from './entry-writer.js';
import { keyBytesMax, valueBytesMax } from './limits.js';
import { malformed, type SegmentReader } from './segment-reader.js';

/** Longest varint that stands for a number exactly. */
const varintBytesMax = 7;

/**
 * Reads what `EntryWriter` wrote, one entry after the other; each length is checked before it is used.
 * Every method fails with PAIPAI_ERR_PROTOCOL or PAIPAI_ERR_VALUE for bytes that are no entries.
 */
export class EntryReader {
  readonly #source: SegmentReader;
  key = '';
  /** Of the values of `key`, those that were not read yet. */
  valuesLeft = 0;

  constructor(source: SegmentReader) {
    this.#source = source;
  }

  /** Goes on to the next entry, over values that nobody has read; false at the end. */
  next(): boolean {
    while (this.valuesLeft > 0) this.value();
    if (!this.#source.hasMore) return false;
    this.key = this.#key();
    this.valuesLeft = this.#varint();
    if (this.valuesLeft === 0) throw malformed('a key has no value');
    return true;
  }

  /** The next value of `key`; only while there are some left. */
  value(): unknown {
    this.valuesLeft--;
    const source = this.#source;
    source.need(1);
    const kind = source.bytes[source.at++] ?? 0;
    if (kind < 0x80) return kind;
    switch (kind) {
      case Kind.null:
        return null;
      case Kind.false:
        return false;
      case Kind.true:
        return true;
      case Kind.int32:
        return this.#int32();
      case Kind.float64:
        return this.#float64();
      case Kind.ascii:
        return this.#text('latin1', this.#length());
      case Kind.utf8:
        return this.#text('utf8', this.#length());
      case Kind.packed:
        return this.#packed();
      default:
        throw malformed(`there is no kind of value 0x${kind.toString(16)}`);
    }
  }

  #key(): string {
    const head = this.#varint();
    const byteLength = Math.floor(head / 2);
    if (byteLength > keyBytesMax) throw malformed(`a key has ${byteLength} bytes`);
    return this.#text(head % 2 === 1 ? 'latin1' : 'utf8', byteLength);
  }

  #int32(): number {
    const source = this.#source;
    source.need(4);
    source.at += 4;
    return source.bytes.readInt32LE(source.at - 4);
  }

  #float64(): number {
    const source = this.#source;
    source.need(8);
    source.at += 8;
    return source.bytes.readDoubleLE(source.at - 8);
  }

  #length(): number {
    const byteLength = this.#varint();
    if (byteLength > valueBytesMax) throw malformed(`a value has ${byteLength} bytes`);
    return byteLength;
  }

  #text(encoding: 'latin1' | 'utf8', byteLength: number): string {
    const source = this.#source;
    source.need(byteLength);
    const start = source.at;
    source.at += byteLength;
    return source.bytes.toString(encoding, start, source.at);
  }

  #packed(): unknown {
    const byteLength = this.#length();
    const source = this.#source;
    source.need(byteLength);
    const start = source.at;
    source.at += byteLength;
    // A copy: byte strings in the value view what it is decoded from, and the window moves on.
    return decodeValue(new Uint8Array(source.bytes.subarray(start, source.at)));
  }

  #varint(): number {
    const source = this.#source;
    let number = 0;
    let scale = 1;
    for (let count = 0; count < varintBytesMax; count++) {
      source.need(1);
      const byte = source.bytes[source.at++] ?? 0;
      number += (byte % 0x80) * scale;
      if (byte < 0x80) return number;
      scale *= 0x80;
    }
    throw malformed('a number is longer than it may be');
  }
}
