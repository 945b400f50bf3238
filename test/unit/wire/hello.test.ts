import { describe, expect, test } from 'vitest';
import { decodeHello, encodeHello, type Hello, helloFeature } from '../../../dist/wire/hello.js';

const hello: Hello = {
  versionMin: 1,
  versionMax: 3,
  features: helloFeature.secret,
  nonce: Uint8Array.from({ length: 32 }, (_, i) => 255 - i),
  netName: 'orders',
  nodeId: 'node-数',
};

describe('hello', () => {
  test('comes back as it was', () => {
    expect(decodeHello(encodeHello(hello))).toEqual(hello);
  });

  test('names of 1 and of 255 bytes pass, 0 and 256 do not', () => {
    for (const length of [1, 255]) {
      const named = { ...hello, netName: 'n'.repeat(length), nodeId: 'i'.repeat(length) };
      expect(decodeHello(encodeHello(named))).toEqual(named);
    }
    for (const length of [0, 256]) {
      expect(() => encodeHello({ ...hello, netName: 'n'.repeat(length) })).toThrowError(
        expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
      );
      expect(() => encodeHello({ ...hello, nodeId: 'n'.repeat(length) })).toThrowError(
        expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
      );
    }
  });

  test('a byte order mark is part of a name', () => {
    expect(decodeHello(encodeHello({ ...hello, nodeId: '\ufeff1' })).nodeId).toBe('\ufeff1');
  });

  test('the nonce outlives the bytes it came in', () => {
    const bytes = encodeHello(hello);
    const { nonce } = decodeHello(bytes);
    bytes.fill(0);
    expect(nonce).toEqual(hello.nonce);
  });

  test.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ['nothing', () => new Uint8Array(0)],
    ['a byte too few', (bytes) => bytes.subarray(0, -1)],
    ['a byte too many', (bytes) => Buffer.concat([bytes, Buffer.of(0)])],
    ['only the fixed part', (bytes) => bytes.subarray(0, 44)],
    ['less than the fixed part', (bytes) => bytes.subarray(0, 43)],
    ['an empty net name', (bytes) => edit(bytes, 40, 0)],
    ['a reserved byte set', (bytes) => edit(bytes, 42, 1)],
    ['version 0', (bytes) => edit(bytes, 0, 0)],
    ['versions upside down', (bytes) => edit(bytes, 0, 4)],
    ['a name that is not UTF-8', (bytes) => edit(bytes, 44, 0xff)],
  ])('%s is refused', (_, change) => {
    expect(() => decodeHello(change(encodeHello(hello)))).toThrowError(
      expect.objectContaining({ code: 'PAIPAI_ERR_PROTOCOL' }),
    );
  });
});

function edit(bytes: Uint8Array, at: number, value: number): Uint8Array {
  bytes[at] = value;
  return bytes;
}
