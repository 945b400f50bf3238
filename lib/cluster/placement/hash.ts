/**
 * A 64-bit hash of text, as two unsigned halves. It decides where shards lie, so its values never change; golden ones stand in
 * the tests. Two 32-bit lanes take the UTF-8 bytes one by one as FNV-1a does, with different starts and primes, and are then mixed
 * with each other and by the finishing step of MurmurHash3, so that ids that differ in one digit share nothing.
 */
export interface Hash64 {
  readonly high: number;
  readonly low: number;
}

export function hashText(text: string): Hash64 {
  const bytes = Buffer.from(text);
  let high = 0x811c9dc5;
  let low = 0x9e3779b9;
  for (const byte of bytes) {
    high = Math.imul(high ^ byte, 0x01000193);
    low = Math.imul(low ^ byte, 0x85ebca77);
  }
  return mix(high ^ bytes.byteLength, low);
}

/** The hash of a pair, from the hashes of its parts. The order of the parts matters. */
export function hashPair(a: Hash64, b: Hash64): Hash64 {
  return mix(a.high ^ Math.imul(b.low, 0x9e3779b1), a.low ^ Math.imul(b.high, 0x85ebca77));
}

/** The upper 53 bits as a fraction, above 0 and below 1. */
export function fractionOf({ high, low }: Hash64): number {
  return (high * 2 ** 21 + (low >>> 11) + 0.5) / 2 ** 53;
}

function mix(high: number, low: number): Hash64 {
  const first = finish(high ^ rotate(low, 15));
  const second = finish(low ^ rotate(first, 13));
  return { high: finish(first + second), low: second };
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function finish(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
