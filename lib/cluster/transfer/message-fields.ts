import { PaipaiError } from '../../base/errors.js';
import { decodeValue } from '../../wire/values.js';

/** Longest message: a list of a million numbers of 32 bits, and 64 KiB for everything else. */
const messageBytesMax = 4_000_000 + 64 * 1024;
/** A message is small and flat, whatever its bytes could announce. */
const messageElementsMax = 1_024;
const messageFieldsMax = 32;

/**
 * Reads the fields of a message that came from a peer: a msgpack map in which every value is checked before it is used.
 * Each method fails with PAIPAI_ERR_PROTOCOL and names the message and the field.
 */
export class MessageFields {
  readonly #message: string;
  readonly #fields: ReadonlyMap<string, unknown>;

  constructor(message: string, bytes: Uint8Array) {
    this.#message = message;
    if (bytes.byteLength > messageBytesMax) {
      throw this.#malformed(`has more than ${messageBytesMax} bytes`);
    }
    const value = decodeValue(bytes, messageElementsMax);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.#malformed('is no map');
    }
    const fields = Object.entries(value);
    if (fields.length > messageFieldsMax) {
      throw this.#malformed(`has more than ${messageFieldsMax} fields`);
    }
    this.#fields = new Map(fields);
  }

  has(name: string): boolean {
    return (this.#fields.get(name) ?? null) !== null;
  }

  string(name: string, bytesMax: number): string {
    const value = this.#fields.get(name);
    if (typeof value !== 'string' || value.length === 0 || Buffer.byteLength(value) > bytesMax) {
      throw this.#malformed(`needs ${name}, a string of 1 to ${bytesMax} bytes`);
    }
    return value;
  }

  integer(name: string, min: number, max: number): number {
    const value = this.#fields.get(name);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      throw this.#malformed(`needs ${name}, an integer from ${min} to ${max}`);
    }
    return value;
  }

  /** A time, which may have a fraction. */
  milliseconds(name: string): number {
    const value = this.#fields.get(name);
    if (typeof value !== 'number' || !(value >= 0)) {
      throw this.#malformed(`needs ${name}, a number of milliseconds`);
    }
    return value;
  }

  weight(name: string): number {
    const value = this.#fields.get(name);
    if (typeof value !== 'number' || !(value > 0 && value < Infinity)) {
      throw this.#malformed(`needs ${name}, a number above 0`);
    }
    return value;
  }

  boolean(name: string): boolean {
    const value = this.#fields.get(name);
    if (typeof value !== 'boolean') throw this.#malformed(`needs ${name}, true or false`);
    return value;
  }

  bytes(name: string, bytesMax: number): Uint8Array {
    const value = this.#fields.get(name);
    if (!(value instanceof Uint8Array) || value.byteLength > bytesMax) {
      throw this.#malformed(`needs ${name}, at most ${bytesMax} bytes`);
    }
    return value;
  }

  uint64(name: string): bigint {
    const value = this.#fields.get(name);
    if (typeof value !== 'bigint' || value < 0n) {
      throw this.#malformed(`needs ${name}, an unsigned integer of 64 bits`);
    }
    return value;
  }

  /** Unsigned numbers of 32 bits, which travel as bytes, little-endian. */
  uint32List(name: string, countMax: number): Uint32Array {
    const bytes = this.bytes(name, countMax * 4);
    if (bytes.byteLength % 4 !== 0) throw this.#malformed(`has ${name} cut short`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Uint32Array.from({ length: bytes.byteLength / 4 }, (_, at) =>
      view.getUint32(at * 4, true),
    );
  }

  #malformed(why: string): PaipaiError {
    return new PaipaiError('PAIPAI_ERR_PROTOCOL', `the message ${this.#message} ${why}`);
  }
}

/** The bytes that `MessageFields.uint32List` reads. */
export function uint32Bytes(numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(numbers.length * 4);
  const view = new DataView(bytes.buffer);
  numbers.forEach((number, at) => {
    view.setUint32(at * 4, number, true);
  });
  return bytes;
}
