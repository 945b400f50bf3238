import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addExactly, type ExactSum, roundExactly } from '../../../dist/cli/exact-sum.js';

function sumOf(values: readonly number[]): number {
  const sum: ExactSum = [];
  for (const value of values) addExactly(sum, value);
  return roundExactly(sum);
}

/** Doubles as integers of 2^-1074, the smallest of them. */
function exactly(value: number): bigint {
  if (!Number.isInteger(value)) return exactly(value * 2) / 2n;
  return BigInt(value) << 1074n;
}

describe('an exact sum', () => {
  test('adds what plain addition adds where nothing is rounded', () => {
    expect(sumOf([1, 2, 3.5])).toBe(6.5);
    expect(sumOf([])).toBe(0);
  });

  test('keeps what plain addition loses', () => {
    expect(sumOf([1e16, 1, -1e16])).toBe(1);
    expect(sumOf([1e300, 1e-300, -1e300])).toBe(1e-300);
    expect(sumOf(Array.from({ length: 10 }, () => 0.1))).toBe(1);
  });

  test('rounds once: half a unit and a little more goes up', () => {
    const unit = 2 ** -52;
    expect(sumOf([1, unit / 2])).toBe(1);
    expect(sumOf([1, unit / 2, 2 ** -200])).toBe(1 + unit);
    expect(sumOf([1 + unit, -unit / 2, -(2 ** -200)])).toBe(1);
  });

  const values = fc.array(fc.double({ min: -1e300, max: 1e300, noNaN: true }), { maxLength: 60 });

  test('does not depend on the order, nor on how parts are merged', () => {
    fc.assert(
      fc.property(values, fc.nat(), (all, at) => {
        const cut = all.length === 0 ? 0 : at % all.length;
        const merged: ExactSum = [];
        for (const half of [all.slice(cut), all.slice(0, cut)]) {
          const sum: ExactSum = [];
          for (const value of half) addExactly(sum, value);
          for (const part of sum) addExactly(merged, part);
        }
        expect(roundExactly(merged)).toBe(sumOf(all));
        expect(sumOf(all.toReversed())).toBe(sumOf(all));
      }),
    );
  });

  test('is the exact sum: its parts, as big integers, add up to the same', () => {
    const small = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { maxLength: 30 });
    fc.assert(
      fc.property(small, (all) => {
        const sum: ExactSum = [];
        for (const value of all) addExactly(sum, value);
        const total = (list: readonly number[]): bigint =>
          list.reduce((so, value) => so + exactly(value), 0n);
        expect(total(sum)).toBe(total(all));
      }),
    );
  });
});
