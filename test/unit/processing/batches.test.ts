import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planBatches } from '../../../dist/processing/batches.js';

const mebibyte = 1024 * 1024;

test('a few shards are spread over the workers, and a single one takes all', () => {
  expect(planBatches([100, 100, 100, 100], 2)).toEqual([
    { start: 0, end: 1 },
    { start: 1, end: 2 },
    { start: 2, end: 3 },
    { start: 3, end: 4 },
  ]);
  expect(planBatches([100, 100, 100, 100], 1)).toEqual([{ start: 0, end: 4 }]);
  expect(planBatches([], 4)).toEqual([]);
});

test('many small ones share a batch, of at most 256', () => {
  const batches = planBatches(Array(10_000).fill(1), 1);
  expect(batches.map(({ start, end }) => end - start)).toEqual([...Array(39).fill(256), 16]);
});

test('a batch stops at 8 MiB', () => {
  const batches = planBatches(Array(256).fill(mebibyte), 2);
  expect(batches.every(({ start, end }) => end - start === 8)).toBe(true);
});

test('each shard is in exactly one batch, in order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 64 * mebibyte }), { maxLength: 600 }),
      fc.integer({ min: 1, max: 64 }),
      (sizes, workers) => {
        const batches = planBatches(sizes, workers);
        const indexes = batches.flatMap(({ start, end }) =>
          sizes.slice(start, end).map((_, at) => start + at),
        );
        expect(indexes).toEqual(sizes.map((_, at) => at));
      },
    ),
  );
});
