import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { combineCrc32c, crc32c, extendCrc32c } from '../../../dist/wire/crc32c.js';

/** Bit by bit, straight from the definition. */
function slowly(bytes: Uint8Array): number {
  let remainder = ~0;
  for (const byte of bytes) {
    remainder ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      remainder = (remainder >>> 1) ^ (remainder & 1 ? 0x82f6_3b78 : 0);
    }
  }
  return ~remainder >>> 0;
}

describe('crc32c', () => {
  test('is the published sum of the nine digits', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe306_9283);
  });

  test('agrees with the examples of RFC 3720, appendix B.4', () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a91_36aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8_ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd_794e);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => 31 - i))).toBe(0x113f_db5c);
  });

  test('of nothing is 0', () => {
    expect(crc32c(new Uint8Array(0))).toBe(0);
  });

  test.each([255, 256, 257, 271, 272, 273])(
    'agrees with the definition at %i bytes, wherever they begin',
    (length) => {
      const bytes = Uint8Array.from({ length: length + 8 }, (_, i) => i * 37);
      for (let start = 0; start < 8; start++) {
        const part = bytes.slice(start, start + length);
        expect(crc32c(bytes, start, start + length)).toBe(slowly(part));
      }
    },
  );

  test('agrees with the definition on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1500 }), fc.nat(7), (bytes, start) => {
        expect(crc32c(bytes.subarray(start))).toBe(slowly(bytes.subarray(start)));
      }),
    );
  });

  test('goes on where another run of bytes ended', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 900 }), fc.uint8Array({ maxLength: 900 }), (a, b) => {
        expect(extendCrc32c(crc32c(a), b)).toBe(crc32c(Buffer.concat([a, b])));
      }),
    );
  });

  test('sums of two parts combine into the sum of the whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 900 }), fc.uint8Array({ maxLength: 900 }), (a, b) => {
        const whole = crc32c(Buffer.concat([a, b]));
        expect(combineCrc32c(crc32c(a), crc32c(b), b.length)).toBe(whole);
      }),
    );
  });

  test('combines over lengths beyond 32 bits', () => {
    // Zeros behind a run: doubling the distance must be the same as going it twice.
    const start = crc32c(Buffer.from('paipai'));
    const zeros = (count: number): number => {
      let sum = 0;
      let done = 0;
      for (let bit = 1; bit <= count; bit *= 2) {
        if (Math.floor(count / bit) % 2 === 1) {
          sum = combineCrc32c(sum, zerosOfPower(bit), bit);
          done += bit;
        }
      }
      expect(done).toBe(count);
      return sum;
    };
    const zerosOfPower = (bytes: number): number => {
      let sum = crc32c(new Uint8Array(1));
      for (let length = 1; length < bytes; length *= 2) sum = combineCrc32c(sum, sum, length);
      return sum;
    };
    const far = 2 ** 40 + 12_345;
    const inOneStep = combineCrc32c(start, zeros(far), far);
    const half = 2 ** 39;
    const first = combineCrc32c(start, zeros(half), half);
    expect(combineCrc32c(first, zeros(far - half), far - half)).toBe(inOneStep);
  });
});
