import { createHash } from 'node:crypto';
import type { Env } from '../base/env.js';
import type { DataSource } from './source.js';

/** CRC32C of bytes, unsigned. The native one and that of `lib/wire` agree; who computes says which. */
export type Crc32c = (bytes: Uint8Array) => number;

/** Castagnoli's polynomial, bits reflected: bit 31 is x^0. */
const polynomial = 0x82f63b78;
const one = 0x8000_0000;

/** Product of two polynomials modulo Castagnoli's. */
function multiply(a: number, b: number): number {
  let product = 0;
  let factor = b;
  for (let bit = one; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor;
    factor = (factor & 1) === 0 ? factor >>> 1 : (factor >>> 1) ^ polynomial;
  }
  return product >>> 0;
}

/** x to the power of 8 · 2^k: what `2^k` bytes that follow do to a checksum. 53 of them reach every safe integer. */
const powers: readonly number[] = (() => {
  const list = [one >>> 8];
  while (list.length < 53) {
    const power = list.at(-1) as number; // The list begins with one.
    list.push(multiply(power, power));
  }
  return list;
})();

/** The share of a checksum in that of the whole when `bytes` more follow. */
function shift(crc32c: number, bytes: number): number {
  let shifted = crc32c;
  for (let k = 0, rest = bytes; rest > 0; k++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) shifted = multiply(shifted, powers[k] as number); // `bytes` is a safe integer.
  }
  return shifted;
}

/** CRC32C of A followed by B, from those of A and of B and the length of B. */
export function combineCrc32c(crcOfA: number, crcOfB: number, bytesOfB: number): number {
  return (shift(crcOfA, bytesOfB) ^ crcOfB) >>> 0;
}

/**
 * What some parts of the data add to the checksum of the whole: `crc32c` is right for data that end at `end`, as soon as parts
 * for every byte before it were merged. Parts merge in any order, each exactly once.
 */
export interface PartialChecksum {
  readonly end: number;
  readonly crc32c: number;
}

export function partialChecksum(offset: number, bytes: number, crc32c: number): PartialChecksum {
  return { end: offset + bytes, crc32c };
}

export function mergeChecksums(a: PartialChecksum, b: PartialChecksum): PartialChecksum {
  return a.end <= b.end
    ? { end: b.end, crc32c: combineCrc32c(a.crc32c, b.crc32c, b.end - a.end) }
    : { end: a.end, crc32c: combineCrc32c(b.crc32c, a.crc32c, a.end - b.end) };
}

/** A checksum as people see it: 8 hex digits. */
export function formatCrc32c(crc32c: number): string {
  return crc32c.toString(16).padStart(8, '0');
}

/** SHA-256 of the whole, in hex. It reads the source: one that can be read once is consumed. */
export async function sha256Of(
  env: Env,
  source: DataSource,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  for await (const block of source.blocks(env, { blockBytes: 1024 * 1024, signal })) {
    hash.update(block.bytes);
    block.release();
  }
  return hash.digest('hex');
}
