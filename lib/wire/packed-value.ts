import { PaipaiError } from '../base/errors.js';

/**
 * Walks over one MessagePack value without building it, and refuses what could make a decoder allocate more than the bytes
 * can hold, or more than `elementsMax` array elements and map entries in all: nesting beyond `depthMax`, lengths beyond the
 * end, more elements announced than bytes are left, extensions other than the timestamp, anything behind the value.
 * Source: https://github.com/msgpack/msgpack/blob/master/spec.md
 * @throws PaipaiError PAIPAI_ERR_VALUE
 */
export function checkPackedValue(bytes: Uint8Array, depthMax: number, elementsMax: number): void {
  const walk = new Walk(bytes);
  /** Values still to come at each level, outermost first. */
  const pending: number[] = [1];
  /** Their sum: each takes a byte at least. */
  let pendingTotal = 1;
  let elements = 0;
  while (pending.length > 0) {
    const level = pending.length - 1;
    if (pending[level] === 0) {
      pending.pop();
      continue;
    }
    pending[level]!--;
    pendingTotal--;
    const inner = walk.skipHead();
    if (inner < 0) continue;
    // One level more is the value itself, which is no container.
    if (pending.length > depthMax) throw malformed(`it nests deeper than ${depthMax} levels`);
    elements += walk.isMap ? inner / 2 : inner;
    if (elements > elementsMax) throw malformed(`it holds more than ${elementsMax} elements`);
    pendingTotal += inner;
    if (pendingTotal > walk.left)
      throw malformed('it announces more elements than there are bytes');
    pending.push(inner);
  }
  if (walk.left > 0) throw malformed(`${walk.left} bytes follow it`);
}

const notContainer = -1;
const timestampType = 0xff;

class Walk {
  readonly #bytes: Uint8Array;
  #at = 0;
  /** Of the container whose head was skipped last: keys and values take turns in it. */
  isMap = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Steps over one value, but only over the head of an array or a map; returns how many values that holds, else -1. */
  skipHead(): number {
    const head = this.#number(1);
    if (head <= 0x7f || head >= 0xe0) return notContainer;
    this.isMap = head <= 0x8f || head >= 0xde;
    if (head <= 0x8f) return (head & 0x0f) * 2;
    if (head <= 0x9f) return head & 0x0f;
    if (head <= 0xbf) return this.#skip(head & 0x1f);
    switch (head) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return notContainer;
      case 0xc4: // bin 8, 16, 32
      case 0xc5:
      case 0xc6:
        return this.#skip(this.#number(1 << (head - 0xc4)));
      case 0xc7: // ext 8; 16 and 32 are longer than a timestamp
        return this.#skipTimestamp(this.#number(1));
      case 0xca: // float 32, float 64
      case 0xcb:
        return this.#skip(head === 0xca ? 4 : 8);
      case 0xcc: // uint 8 to 64
      case 0xcd:
      case 0xce:
      case 0xcf:
        return this.#skip(1 << (head - 0xcc));
      case 0xd0: // int 8 to 64
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return this.#skip(1 << (head - 0xd0));
      case 0xd6: // fixext 4, fixext 8
      case 0xd7:
        return this.#skipTimestamp(head === 0xd6 ? 4 : 8);
      case 0xd9: // str 8, 16, 32
      case 0xda:
      case 0xdb:
        return this.#skip(this.#number(1 << (head - 0xd9)));
      case 0xdc: // array 16, 32
      case 0xdd:
        return this.#number(head === 0xdc ? 2 : 4);
      case 0xde: // map 16, 32
      case 0xdf:
        return this.#number(head === 0xde ? 2 : 4) * 2;
      default:
        throw malformed(`it holds the byte 0x${head.toString(16)} where a value begins`);
    }
  }

  #skipTimestamp(byteCount: number): number {
    if (this.#number(1) !== timestampType) throw malformed('it holds an unknown extension');
    if (byteCount !== 4 && byteCount !== 8 && byteCount !== 12)
      throw malformed('a timestamp has a wrong length');
    return this.#skip(byteCount);
  }

  #skip(byteCount: number): number {
    if (byteCount > this.left) throw malformed('it ends in the middle');
    this.#at += byteCount;
    return notContainer;
  }

  /** The next big-endian unsigned number of `width` bytes. */
  #number(width: number): number {
    if (width > this.left) throw malformed('it ends in the middle');
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + this.#bytes[this.#at++]!;
    return value;
  }
}

function malformed(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_VALUE', `bytes cannot be decoded as a value: ${why}`);
}
