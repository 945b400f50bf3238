import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partitionOf } from '../../../../dist/processing/map-reduce/partition.js';

describe('partitionOf', () => {
  test('is the same on every node, for good', () => {
    // Computed by hand from the definitions of FNV-1a and of MurmurHash3's last steps, in another language.
    const golden: [string, number][] = [
      ['', 668],
      ['a', 103],
      ['b', 510],
      ['the', 769],
      ['word', 921],
      ['größe', 591],
      ['漢字', 214],
      ['😀', 416],
      ['x'.repeat(1_000), 428],
    ];
    for (const [key, partition] of golden)
      expect([key, partitionOf(key, 1_000)]).toEqual([key, partition]);
  });

  test('is one of the partitions', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 1_024 }), (key, partitions) => {
        const partition = partitionOf(key, partitions);
        expect(Number.isInteger(partition) && partition >= 0 && partition < partitions).toBe(true);
      }),
    );
  });

  test.each([
    ['numbers', (at: number) => String(at)],
    ['words', (at: number) => `word${at}`],
    ['long keys', (at: number) => `${'x'.repeat(100)}${at}`],
  ])('spreads %s', (_what, keyOf) => {
    const counts = new Array<number>(16).fill(0);
    for (let at = 0; at < 16_000; at++) {
      const partition = partitionOf(keyOf(at), 16);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    // 1,000 each on average; by chance alone these would be left once in thousands of times.
    expect(Math.min(...counts)).toBeGreaterThan(850);
    expect(Math.max(...counts)).toBeLessThan(1_150);
  });
});
