import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeValue,
  encodeValue,
  valueDepthMax,
  valueElementsMax,
} from '../../../dist/wire/values.js';

const refusal = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'PAIPAI_ERR_VALUE', message: expect.stringMatching(message) });

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { in: value };
  return value;
}

describe('values that travel', () => {
  test('a result of a handler', () => {
    const value = {
      words: { the: 3, net: 1 },
      list: [1, -2, 2.5, 'three', null, true],
      bytes: Uint8Array.of(1, 2),
    };
    expect(decodeValue(encodeValue(value))).toEqual(value);
  });

  test.each([
    ['large integers stay numbers', Number.MAX_SAFE_INTEGER],
    ['negative ones, too', -(2 ** 40)],
    ['numbers that JSON does not have', Number.NaN],
    ['infinity', -Infinity],
    ['the largest bigint', 2n ** 64n - 1n],
    ['the least bigint', -(2n ** 63n)],
    ['a small bigint stays one', 5n],
    ['text', 'ünï 数 🎈'],
    ['a date', new Date('2026-05-01T12:34:56.789Z')],
    ['long text', 'x'.repeat(70_000)],
    ['a long array', Array.from({ length: 70_000 }, (_, i) => i)],
  ])('%s', (_, value) => {
    expect(decodeValue(encodeValue(value))).toEqual(value);
  });

  test('undefined becomes null, alone and inside', () => {
    expect(decodeValue(encodeValue(undefined))).toBeNull();
    expect(decodeValue(encodeValue({ a: undefined, b: [undefined] }))).toEqual({
      a: null,
      b: [null],
    });
  });

  test('bytes come back as Uint8Array, also out of a Buffer and from one', () => {
    const value = decodeValue(Buffer.from(encodeValue(Buffer.from('abc'))));
    expect(Object.getPrototypeOf(value)).toBe(Uint8Array.prototype);
    expect(value).toEqual(Uint8Array.from([97, 98, 99]));
  });

  test('bytes in shared memory travel', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(7);
    expect(decodeValue(encodeValue(shared))).toEqual(Uint8Array.of(7, 7, 7));
  });

  test('plain objects without a prototype and of another realm', () => {
    expect(decodeValue(encodeValue(Object.assign(Object.create(null), { a: 1 })))).toEqual({
      a: 1,
    });
    expect(decodeValue(encodeValue(runInNewContext('({ a: [1] })')))).toEqual({ a: [1] });
  });

  test('any such value comes back', () => {
    const arbitrary = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.constant(null),
        fc.boolean(),
        fc.integer(),
        fc.double().filter((n) => !Object.is(n, -0)),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
        fc.string(),
        fc.uint8Array(),
        fc.array(tie('value')),
        fc.dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          tie('value'),
          { noNullPrototype: true },
        ),
      ),
    })).value;
    fc.assert(
      fc.property(arbitrary, (value) => {
        expect(decodeValue(encodeValue(value))).toEqual(value);
      }),
    );
  });

  test(`nesting of ${valueDepthMax} levels`, () => {
    const value = nested(valueDepthMax);
    expect(decodeValue(encodeValue(value))).toEqual(value);
  });
});

describe('the count of elements and entries', () => {
  test('is bounded over all levels, an entry of a map counting once', () => {
    const value = { list: [1, [2, 3]], map: { a: 1, b: {} } };
    const bytes = encodeValue(value);
    expect(decodeValue(bytes, 8)).toEqual(value);
    expect(() => decodeValue(bytes, 7)).toThrowError(refusal(/more than 7 elements/));
  });

  test('is bounded both ways', () => {
    const most = new Array(valueElementsMax).fill(0);
    expect(decodeValue(encodeValue(most))).toHaveLength(valueElementsMax);
    expect(() => encodeValue([most])).toThrowError(refusal(/elements/));
    expect(() => encodeValue(new Array(2 ** 32 - 1))).toThrowError(refusal(/elements/));
  });

  test('counts before anything is built', () => {
    const bytes = new Uint8Array(16 * 1024 * 1024).fill(0x90);
    bytes[0] = 0xdd;
    new DataView(bytes.buffer).setUint32(1, bytes.length - 5);
    expect(() => decodeValue(bytes)).toThrowError(refusal(/elements/));
  });

  test('of maps with long heads counts entries', () => {
    const map = Object.fromEntries(Array.from({ length: 70_000 }, (_, at) => [`k${at}`, at]));
    const bytes = encodeValue(map);
    expect(decodeValue(bytes, 70_000)).toEqual(map);
    expect(() => decodeValue(bytes, 69_999)).toThrowError(refusal(/elements/));
  });
});

describe('values that do not', () => {
  class Point {
    x = 1;
  }
  const circle: unknown[] = [];
  circle.push(circle);

  test.each<[string, unknown, RegExp]>([
    ['a function', { rows: [1, () => 1] }, /value\.rows\[1\] is a function/],
    ['a symbol', Symbol('s'), /value is a symbol/],
    ['a Map', new Map(), /a Map/],
    ['a Set', [new Set()], /value\[0\] is a Set/],
    ['a class instance', new Point(), /a Point/],
    ['an error', new Error('no'), /an? Error/],
    ['other views', new Float64Array(1), /a Float64Array/],
    ['a promise', { p: Promise.resolve() }, /value\.p is a Promise/],
    ['a bigint of 65 bits', 2n ** 64n, /64 bits/],
    ['a negative bigint of 65 bits', -(2n ** 63n) - 1n, /64 bits/],
    ['an invalid date', new Date(Number.NaN), /invalid Date/],
    ['a circle', circle, /circle/],
    ['half a surrogate pair', ['\ud800'], /surrogate/],
    ['half a surrogate pair in a key', { '\udc00': 1 }, /surrogate/],
    ['a key that would set a prototype', JSON.parse('{"__proto__": 1}'), /__proto__/],
    ['a level too deep', nested(valueDepthMax + 1), /deeper/],
  ])('%s', (_, value, message) => {
    expect(() => encodeValue(value)).toThrowError(refusal(message));
  });
});

describe('bytes that are no value', () => {
  const array32 = (count: number): number[] => [
    0xdd,
    count >>> 24,
    (count >> 16) & 255,
    (count >> 8) & 255,
    count & 255,
  ];

  test.each<[string, number[]]>([
    ['nothing', []],
    ['an unused head', [0xc1]],
    ['a second value', [0xc0, 0xc0]],
    ['text beyond the end', [0xa5, 0x61]],
    ['text of 4 GiB', [0xdb, 0xff, 0xff, 0xff, 0xff]],
    ['bytes of 4 GiB', [0xc6, 0xff, 0xff, 0xff, 0xff]],
    ['an array of 4 Gi elements', array32(0xffff_ffff)],
    ['a map of 4 Gi entries', [0xdf, 0xff, 0xff, 0xff, 0xff]],
    ['a length cut off', [0xdb, 0xff]],
    ['half a map entry', [0x81, 0xa1, 0x61]],
    ['an extension', [0xd4, 0x01, 0x00]],
    ['an extension of 4 GiB', [0xc9, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['a timestamp of a wrong length', [0xc7, 0x01, 0xff, 0x00]],
    ['a map whose key is an array', [0x81, 0x90, 0xc0]],
    ['a key that sets a prototype', [0x81, 0xa9, ...Buffer.from('__proto__'), 0x80]],
    [
      'more elements in sum than bytes',
      [...array32(20), ...array32(20), ...new Array(20).fill(0xc0)],
    ],
  ])('%s', (_, bytes) => {
    expect(() => decodeValue(Uint8Array.from(bytes))).toThrowError(refusal(/./));
  });

  test('nesting without an end', () => {
    expect(() => decodeValue(new Uint8Array(200_000).fill(0x91))).toThrowError(refusal(/deeper/));
  });

  test('any bytes: a value or the typed error, soon', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeValue(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: 'PAIPAI_ERR_VALUE' });
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('any value cut short', () => {
    const bytes = encodeValue({ list: [1, 'two', 3n, new Date(0)], bytes: new Uint8Array(9) });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeValue(bytes.subarray(0, length))).toThrowError(refusal(/./));
    }
  });
});
