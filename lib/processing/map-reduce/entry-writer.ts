import { PaipaiError, toError } from '../../base/errors.js';
import { encodeValue } from '../../wire/values.js';
import { valueBytesMax } from './limits.js';

/**
 * Keys with their values, as they lie in memory and in files, and as they travel: entries one behind the other.
 *
 *   entry   key head | key | count of values | values
 *             key head   bytes of the key * 2, plus 1 when it is ASCII
 *             key        UTF-8
 *   value   kind, one byte | what the kind asks for
 *             0 to 127   that number
 *             others     as in `Kind`
 *
 * Heads, counts and lengths are varints: seven bits a byte, lowest first, the high bit says that more follow. A count of words is one byte
 * so, and a word its letters and two; the general encoding (values.ts) takes ten times as long for such small things, and is there for
 * what has no kind of its own.
 */
export const Kind = {
  null: 0x80,
  false: 0x81,
  true: 0x82,
  /** Four bytes, little-endian, signed. */
  int32: 0x83,
  /** Eight bytes, little-endian. */
  float64: 0x84,
  /** Length, bytes. */
  ascii: 0x85,
  utf8: 0x86,
  /** Length, and what `encodeValue` made. */
  packed: 0x87,
} as const;

const firstBytes = 4 * 1024;
/** Keys up to here have a head of one byte when they are ASCII. */
const shortKeyLengthMax = 63;
const varintBytesMax = 8;

/** Writes entries into memory of its own, which grows with them and is used again. */
export class EntryWriter {
  #bytes = Buffer.allocUnsafeSlow(firstBytes);
  #at = 0;

  get byteLength(): number {
    return this.#at;
  }

  /** What was written since `clear`; gone with the next call of another method. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  clear(): void {
    this.#at = 0;
  }

  /**
   * One entry.
   * @param key well-formed text
   * @throws PaipaiError PAIPAI_ERR_HANDLER_RESULT when a value cannot be encoded, or is too long; what stands before this entry stays.
   */
  entry(key: string, values: readonly unknown[]): void {
    const start = this.#at;
    try {
      this.#key(key);
      this.#room(varintBytesMax);
      this.#varint(values.length);
      for (const value of values) this.#value(value);
    } catch (thrown) {
      this.#at = start;
      throw new PaipaiError(
        'PAIPAI_ERR_HANDLER_RESULT',
        `a value of the key ${shown(key)} cannot be encoded: ${toError(thrown).message}`,
      );
    }
  }

  #key(key: string): void {
    const { length } = key;
    this.#room(varintBytesMax + 3 * length);
    const bytes = this.#bytes;
    if (length <= shortKeyLengthMax) {
      let at = this.#at + 1;
      let allBits = 0;
      for (let index = 0; index < length; index++) {
        const unit = key.charCodeAt(index);
        allBits |= unit;
        bytes[at++] = unit;
      }
      if (allBits < 0x80) {
        bytes[this.#at] = length * 2 + 1;
        this.#at = at;
        return;
      }
    }
    const byteLength = Buffer.byteLength(key);
    this.#varint(byteLength * 2 + (byteLength === length ? 1 : 0));
    this.#at += bytes.write(key, this.#at);
  }

  #value(value: unknown): void {
    this.#room(varintBytesMax + 1);
    switch (typeof value) {
      case 'number':
        return this.#number(value);
      case 'string':
        return this.#text(value);
      case 'boolean':
        return this.#byte(value ? Kind.true : Kind.false);
      default:
        if (value === null || value === undefined) return this.#byte(Kind.null);
        return this.#packed(encodeValue(value));
    }
  }

  #number(value: number): void {
    const integer = value | 0;
    if (integer !== value || Object.is(value, -0)) {
      this.#byte(Kind.float64);
      this.#at = this.#bytes.writeDoubleLE(value, this.#at);
    } else if (integer >= 0 && integer < 0x80) {
      this.#byte(integer);
    } else {
      this.#byte(Kind.int32);
      this.#at = this.#bytes.writeInt32LE(integer, this.#at);
    }
  }

  #text(text: string): void {
    const byteLength = Buffer.byteLength(text);
    const isAscii = byteLength === text.length;
    if (!isAscii && !text.isWellFormed()) {
      throw new PaipaiError('PAIPAI_ERR_VALUE', 'it is text with half of a surrogate pair');
    }
    this.#head(isAscii ? Kind.ascii : Kind.utf8, byteLength);
    this.#at += this.#bytes.write(text, this.#at);
  }

  #packed(packed: Uint8Array): void {
    this.#head(Kind.packed, packed.byteLength);
    this.#bytes.set(packed, this.#at);
    this.#at += packed.byteLength;
  }

  #head(kind: number, byteLength: number): void {
    if (byteLength > valueBytesMax) {
      throw new PaipaiError(
        'PAIPAI_ERR_VALUE',
        `it has ${byteLength} bytes, and at most ${valueBytesMax} are allowed`,
      );
    }
    this.#room(1 + varintBytesMax + byteLength);
    this.#byte(kind);
    this.#varint(byteLength);
  }

  #byte(byte: number): void {
    this.#bytes[this.#at++] = byte;
  }

  #varint(number: number): void {
    let rest = number;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }

  #room(byteCount: number): void {
    const needed = this.#at + byteCount;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}

/** A key for a message. */
export function shown(key: string): string {
  return JSON.stringify(key.length > 60 ? `${key.slice(0, 60)}…` : key);
}
