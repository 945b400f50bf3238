import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeyIndex } from '../../../../dist/processing/map-reduce/key-index.js';

describe('an index of keys', () => {
  test('gives places in the order in which keys come', () => {
    const index = new KeyIndex(1);
    expect(['b', 'a', 'c'].map((key) => index.add(key))).toEqual([0, 1, 2]);
    expect(['a', 'b', 'c', 'd'].map((key) => index.find(key))).toEqual([1, 0, 2, -1]);
    expect(index.keys).toEqual(['b', 'a', 'c']);
  });

  test('tells keys apart that are nearly the same', () => {
    const keys = [
      ...['', '\0', '\0\0', 'a', 'a\0', '\0a', 'A', ' a', 'a '],
      ...[
        'abcd',
        'abcde',
        'abcdefgh',
        'abcdefghi',
        'abcdefghijkl',
        'abcdefghijklm',
        'bcdefghijklm',
      ],
      ...['\x7f', '\x80', 'ÿ', 'Ā', '一', 'a一', '\u{1f600}', 'abcdefghijk\x80'],
    ];
    const index = new KeyIndex(1);
    for (const key of keys) {
      expect([key, index.find(key)]).toEqual([key, -1]);
      index.add(key);
    }
    expect(keys.map((key) => index.find(key))).toEqual(keys.map((_, place) => place));
  });

  test.each([0, 1, -1, 2 ** 31 - 1])('finds 20,000 keys again with the seed %i', (seed) => {
    const keys = Array.from(
      { length: 20_000 },
      (_, at) => `${at.toString(36)}${'x'.repeat(at % 14)}`,
    );
    const index = new KeyIndex(seed);
    for (const key of keys) index.add(key);
    expect(keys.findIndex((key, place) => index.find(key) !== place)).toBe(-1);
    expect(keys.some((key) => index.find(`${key}-`) >= 0)).toBe(false);
  });

  test('is a Map from keys to places', () => {
    const unit = fc.constantFrom('a', 'b', '\0', '\x7f', 'é', '一', '\u{1f600}');
    const key = fc.string({ unit, maxLength: 15 });
    fc.assert(
      fc.property(fc.array(key, { maxLength: 700 }), fc.integer(), (keys, seed) => {
        const index = new KeyIndex(seed);
        const places = new Map<string, number>();
        for (const each of keys) {
          expect(index.find(each)).toBe(places.get(each) ?? -1);
          if (places.has(each)) continue;
          places.set(each, places.size);
          index.add(each);
        }
        expect(index.keys).toEqual([...places.keys()]);
      }),
    );
  });
});
