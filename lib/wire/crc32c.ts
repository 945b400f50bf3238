/**
 * CRC32C: Castagnoli's polynomial, reflected, with initial and final inversion. Sixteen bytes a step through sixteen
 * tables ("slicing"), since JavaScript reaches no CRC instruction.
 */

const polynomial = 0x82f6_3b78;

/**
 * Table k, at `k * 256`, moves a byte's remainder over k more zero bytes.
 * The type says that every index is inside: loops bound those of bytes, masks those of tables.
 */
const tables: Lookup = makeTables();

interface Lookup {
  readonly [index: number]: number;
}

/** From here on a view of words pays for its making. Node 20 on Zen 5: 2.0 GB/s instead of 1.1 at 256 KiB. */
const wordsFromBytes = 256;

/** CRC32C of `bytes[start..end)`, as an unsigned number. */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  return extendCrc32c(0, bytes, start, end);
}

/** CRC32C of what had `crc`, followed by `bytes[start..end)`. */
export function extendCrc32c(
  crc: number,
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): number {
  let state = ~crc;
  let at = start;
  if (end - start >= wordsFromBytes) {
    const aligned = start + (-(bytes.byteOffset + start) & 3);
    state = overBytes(state, bytes, start, aligned);
    const words = new Int32Array(
      bytes.buffer,
      bytes.byteOffset + aligned,
      ((end - aligned) >> 4) << 2,
    );
    state = overWords(state, words);
    at = aligned + words.byteLength;
  }
  return ~overBytes(state, bytes, at, end) >>> 0;
}

function overWords(before: number, words: Int32Array): number {
  const t = tables;
  const w: Lookup = words;
  const count = words.length;
  let state = before;
  for (let at = 0; at < count; at += 4) {
    const first = w[at]! ^ state;
    const second = w[at + 1]!;
    const third = w[at + 2]!;
    const fourth = w[at + 3]!;
    state =
      t[(first & 0xff) + 3840]! ^
      t[((first >>> 8) & 0xff) + 3584]! ^
      t[((first >>> 16) & 0xff) + 3328]! ^
      t[(first >>> 24) + 3072]! ^
      t[(second & 0xff) + 2816]! ^
      t[((second >>> 8) & 0xff) + 2560]! ^
      t[((second >>> 16) & 0xff) + 2304]! ^
      t[(second >>> 24) + 2048]! ^
      t[(third & 0xff) + 1792]! ^
      t[((third >>> 8) & 0xff) + 1536]! ^
      t[((third >>> 16) & 0xff) + 1280]! ^
      t[(third >>> 24) + 1024]! ^
      t[(fourth & 0xff) + 768]! ^
      t[((fourth >>> 8) & 0xff) + 512]! ^
      t[((fourth >>> 16) & 0xff) + 256]! ^
      t[fourth >>> 24]!;
  }
  return state;
}

function overBytes(before: number, bytes: Uint8Array, start: number, end: number): number {
  const t = tables;
  const b: Lookup = bytes;
  let state = before;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    state ^= b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24);
    state =
      t[(state & 0xff) + 768]! ^
      t[((state >>> 8) & 0xff) + 512]! ^
      t[((state >>> 16) & 0xff) + 256]! ^
      t[state >>> 24]!;
  }
  for (; at < end; at++) state = t[(state ^ b[at]!) & 0xff]! ^ (state >>> 8);
  return state;
}

/**
 * CRC32C of two runs of bytes, one behind the other, from the sums of each: the first is moved over the length of the
 * second by a multiplication modulo the polynomial. Costs about a microsecond, whatever the length.
 * @param secondBytes length of the second run, a safe integer
 */
export function combineCrc32c(first: number, second: number, secondBytes: number): number {
  return (multiply(powerOfBytes(secondBytes), first) ^ second) >>> 0;
}

/** x^0; in the reflected order the top bit is the constant term. */
const one = 0x8000_0000 | 0;

/** Product of two polynomials over GF(2), modulo ours. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let rest = a; rest !== 0; rest <<= 1) {
    if (rest < 0) product ^= shifted;
    shifted = (shifted >>> 1) ^ (shifted & 1 ? polynomial : 0);
  }
  return product;
}

/** x^(8 * bytes), by squaring: entry k holds x^(8 * 2^k). */
const powers: Lookup = makePowers();
let lastBytes = 0;
let lastPower = one;

function powerOfBytes(bytes: number): number {
  // Chunks of one stream have one length, so the last answer is mostly asked again.
  if (bytes === lastBytes) return lastPower;
  let power = one;
  for (let rest = bytes, k = 0; rest > 0; rest = Math.floor(rest / 2), k++) {
    if (rest % 2 === 1) power = multiply(powers[k]!, power);
  }
  lastBytes = bytes;
  lastPower = power;
  return power;
}

function makePowers(): Lookup {
  const made = new Int32Array(53);
  made[0] = 0x0080_0000; // x^8
  for (let k = 1; k < made.length; k++) made[k] = multiply(made[k - 1]!, made[k - 1]!);
  return made;
}

function makeTables(): Lookup {
  const made = new Int32Array(16 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) {
      remainder = (remainder >>> 1) ^ (remainder & 1 ? polynomial : 0);
    }
    made[byte] = remainder;
  }
  for (let at = 256; at < made.length; at++) {
    const before = made[at - 256]!;
    made[at] = (before >>> 8) ^ made[before & 0xff]!;
  }
  return made;
}
