import type { Metric, Trial } from './types.js';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws RangeError when there is not one value. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  if (sorted.length === 0) throw new RangeError('a spread of no values');
  const middle = sorted.length >> 1;
  return {
    median: sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2,
    min: at(0),
    max: at(sorted.length - 1),
  };
}

/**
 * Ours against theirs, round by round, so that a machine that slows down meanwhile falls out. Both in the order of
 * rounds.
 */
export function ratioOf(metric: Metric, ours: readonly Trial[], theirs: readonly Trial[]): Spread {
  return spreadOf(
    ours.map((trial, round) => {
      const other = theirs[round];
      return other === undefined ? Number.NaN : metric.of(trial) / metric.of(other);
    }),
  );
}

/** Lines of text with columns of equal width, the first flush left, the others flush right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ');
  return rows.map(line).join('\n');
}
