import { readU16, readU32, readU64, writeU16, writeU32 } from './little-endian.js';
import { decodeText, encodeText } from './text.js';

/** Thrown by `ByteReader` and caught where a message is decoded: nobody else sees it. */
export class MalformedMessage extends Error {}

/** The upper 32 bits of 2^53. */
const highWordEnd = 2 ** 21;

/** Reads fields one after the other; each read that would pass the end, or a bound, throws MalformedMessage. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  get bytesLeft(): number {
    return this.#bytes.byteLength - this.#at;
  }

  u8(): number {
    return this.#bytes[this.#skip(1)]!;
  }

  u16(): number {
    return readU16(this.#bytes, this.#skip(2));
  }

  u32(): number {
    return readU32(this.#bytes, this.#skip(4));
  }

  u48(): number {
    const at = this.#skip(6);
    return readU32(this.#bytes, at) + readU16(this.#bytes, at + 4) * 2 ** 32;
  }

  /** A u64 that JavaScript can count with: 0 to 2^53 - 1. */
  integer(): number {
    const at = this.#skip(8);
    const high = readU32(this.#bytes, at + 4);
    // Two words and no BigInt, which costs ten times as much.
    if (high < highWordEnd) return high * 2 ** 32 + readU32(this.#bytes, at);
    const value = readU64(this.#bytes, at);
    throw new MalformedMessage(`it names ${value}, which is above 2^53 - 1`);
  }

  f64(): number {
    const at = this.#skip(8);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at).getFloat64(0, true);
  }

  /** A copy, which may be kept. */
  bytes(count: number): Uint8Array {
    const at = this.#skip(count);
    return new Uint8Array(this.#bytes.subarray(at, at + count));
  }

  /** The bytes that were given to this reader, not a copy. */
  view(count: number): Uint8Array {
    const at = this.#skip(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** Text behind its length in bytes, of 8 bits. */
  text(bytesLeast: number): string {
    return this.textOf(this.u8(), bytesLeast);
  }

  /** Text of so many bytes. */
  textOf(count: number, bytesLeast: number, bytesMost: number = Infinity): string {
    if (count < bytesLeast) throw new MalformedMessage('a text is too short');
    if (count > bytesMost) throw new MalformedMessage('a text is too long');
    const at = this.#skip(count);
    const text = decodeText(this.#bytes, at, at + count);
    if (text === undefined) throw new MalformedMessage('a text is not UTF-8');
    return text;
  }

  #skip(count: number): number {
    const at = this.#at;
    if (count > this.bytesLeft) throw new MalformedMessage('it is cut short');
    this.#at = at + count;
    return at;
  }
}

/** Collects fields in one buffer that grows; the lengths of texts and bytes were checked when they came in. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  /** @param bytesExpected which it has room for at once */
  constructor(bytesExpected = 256) {
    this.#bytes = new Uint8Array(bytesExpected);
  }

  get byteLength(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#grow(2);
    writeU16(this.#bytes, at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    writeU32(this.#bytes, at, value);
    return this;
  }

  u48(value: number): this {
    return this.u32(value % 2 ** 32).u16(Math.floor(value / 2 ** 32));
  }

  /** An integer from 0 to 2^53 - 1, as a u64. */
  integer(value: number): this {
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }

  f64(value: number): this {
    const at = this.#grow(8);
    new DataView(this.#bytes.buffer).setFloat64(at, value, true);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#grow(bytes.byteLength);
    this.#bytes.set(bytes, at);
    return this;
  }

  text(text: string): this {
    const bytes = encodeText(text);
    return this.u8(bytes.byteLength).bytes(bytes);
  }

  /** Text behind its length in bytes, of 16 bits. */
  longText(text: string): this {
    const bytes = encodeText(text);
    return this.u16(bytes.byteLength).bytes(bytes);
  }

  /** What was written, in memory of its own: whatever is written afterwards lies elsewhere. */
  finish(): Uint8Array {
    // One that is full moves with the next field.
    return this.#length === this.#bytes.byteLength
      ? this.#bytes
      : this.#bytes.slice(0, this.#length);
  }

  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.byteLength * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return at;
  }
}
