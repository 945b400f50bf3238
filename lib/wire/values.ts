import { decode, encode } from '@msgpack/msgpack';
import { PaipaiError } from '../base/errors.js';
import { checkPackedValue } from './packed-value.js';

/** Deepest nesting of arrays and objects, both ways. */
export const valueDepthMax = 64;
/** Most array elements and map entries in one value, all levels together, both ways. */
export const valueElementsMax = 1_000_000;

/**
 * A value as MessagePack. What travels: null, booleans, numbers, strings, bigints of 64 bits, Uint8Array, Date, arrays and
 * plain objects of these. `undefined` becomes null; a number beyond 32 bits travels as a double, so that it comes back as a
 * number and a bigint as a bigint. Anything else is refused rather than turned into something near it.
 * @throws PaipaiError PAIPAI_ERR_VALUE, which names the place in the value
 */
export function encodeValue(value: unknown): Uint8Array {
  checkEncodable(value, [], { left: valueElementsMax });
  try {
    return encode(value, { maxDepth: valueDepthMax + 1, useBigInt64: true });
  } catch (cause) {
    throw new PaipaiError('PAIPAI_ERR_VALUE', 'a value cannot be encoded', { cause });
  }
}

/**
 * The value that `encodeValue` packed. Byte strings in it view `bytes`, so those stay unchanged as long as the value lives.
 * @throws PaipaiError PAIPAI_ERR_VALUE when the bytes are no such value, whole and alone, of at most `elementsMax` array
 * elements and map entries
 */
export function decodeValue(bytes: Uint8Array, elementsMax: number = valueElementsMax): unknown {
  // Every length is checked here, before the library sets memory aside for it.
  checkPackedValue(bytes, valueDepthMax, elementsMax);
  try {
    // Of a Buffer the library would cut Buffers; the value should not depend on where its bytes came from.
    const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return decode(plain, { useBigInt64: true });
  } catch (cause) {
    throw new PaipaiError('PAIPAI_ERR_VALUE', 'bytes cannot be decoded as a value', { cause });
  }
}

/** Where in the value we are: keys and indices from outside in. Words are made of them only for a refusal. */
type Place = (string | number)[];

/** Elements and entries that may still come. */
interface Room {
  left: number;
}

function checkEncodable(value: unknown, place: Place, room: Room): void {
  switch (typeof value) {
    case 'undefined':
    case 'boolean':
    case 'number':
      return;
    case 'string':
      return checkString(value, place);
    case 'bigint':
      if (BigInt.asIntN(64, value) === value || BigInt.asUintN(64, value) === value) return;
      throw refusal(place, 'a bigint beyond 64 bits');
    case 'object':
      return value === null ? undefined : checkObject(value, place, room);
    default:
      throw refusal(place, `a ${typeof value}`);
  }
}

function checkObject(value: object, place: Place, room: Room): void {
  if (value instanceof Uint8Array) return;
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refusal(place, 'an invalid Date');
    return;
  }
  if (place.length === valueDepthMax) {
    throw refusal(place, `nested deeper than ${valueDepthMax} levels, or in a circle`);
  }
  if (Array.isArray(value)) {
    takeRoom(room, value.length, place);
    for (let i = 0; i < value.length; i++) {
      place.push(i);
      checkEncodable(value[i], place, room);
      place.pop();
    }
    return;
  }
  if (!isPlain(value)) throw refusal(place, `a ${className(value)}`);
  const keys = Object.keys(value);
  takeRoom(room, keys.length, place);
  for (const key of keys) {
    place.push(key);
    checkString(key, place);
    if (key === '__proto__') throw refusal(place, 'under the key __proto__');
    checkEncodable((value as Record<string, unknown>)[key], place, room); // Own keys, just listed.
    place.pop();
  }
}

function takeRoom(room: Room, count: number, place: Place): void {
  room.left -= count;
  if (room.left < 0)
    throw refusal(place, `one of more than ${valueElementsMax} elements and entries in all`);
}

/** UTF-8 has no lone surrogates; they would come back as something else. */
function checkString(text: string, place: Place): void {
  if (!text.isWellFormed()) throw refusal(place, 'text with half of a surrogate pair');
}

/** Made by `{}` or `Object.create(null)`, in this realm or in another. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function className(value: object): string {
  const maker: unknown = value.constructor;
  return typeof maker === 'function' && maker.name !== '' ? maker.name : 'class instance';
}

function refusal(place: Place, what: string): PaipaiError {
  const path = place.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return new PaipaiError(
    'PAIPAI_ERR_VALUE',
    `value${path} is ${what}, which cannot be sent: send plain objects, arrays, strings, numbers, 64-bit bigints, Dates or Uint8Arrays`,
  );
}
