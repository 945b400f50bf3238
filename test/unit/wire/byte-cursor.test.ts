import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, MalformedMessage } from '../../../dist/wire/byte-cursor.js';
import { writeU64 } from '../../../dist/wire/little-endian.js';

const integers = [0, 1, 255, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER];

describe('integer', () => {
  test.each(integers)('%d is a u64, and comes back', (value) => {
    const expected = new Uint8Array(8);
    writeU64(expected, 0, BigInt(value));
    const bytes = new ByteWriter().integer(value).finish();
    expect(bytes).toEqual(expected);
    expect(new ByteReader(bytes).integer()).toBe(value);
  });

  test('any safe integer comes back', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect(new ByteReader(new ByteWriter().integer(value).finish()).integer()).toBe(value);
      }),
    );
  });

  test.each([2n ** 53n, 2n ** 64n - 1n])('%d is refused', (value) => {
    const bytes = new Uint8Array(8);
    writeU64(bytes, 0, value);
    expect(() => new ByteReader(bytes).integer()).toThrow(
      new MalformedMessage(`it names ${value}, which is above 2^53 - 1`),
    );
  });
});

describe('a writer', () => {
  test.each([0, 1, 7, 8, 9, 256])('that expects %d bytes holds whatever comes', (expected) => {
    const writer = new ByteWriter(expected).u32(1).u32(2).bytes(new Uint8Array(300).fill(3));
    const bytes = writer.finish();
    expect(bytes.byteLength).toBe(308);
    expect(bytes.subarray(8)).toEqual(new Uint8Array(300).fill(3));
  });

  test.each([3, 4, 5])('leaves alone what it gave, with room for %d bytes', (room) => {
    const writer = new ByteWriter(room).u32(0x01020304);
    const bytes = writer.finish();
    expect(writer.u8(9).finish()).toEqual(Uint8Array.of(4, 3, 2, 1, 9));
    expect(bytes).toEqual(Uint8Array.of(4, 3, 2, 1));
  });
});
