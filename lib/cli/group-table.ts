import { addExactly, type ExactSum, roundExactly } from './exact-sum.js';

/**
 * Rows grouped by a key, column by column as it travels between nodes: entry i of each array belongs to `keys[i]`.
 * (Arrays, because a key such as `__proto__` may not name a property on the wire.)
 */
export interface GroupTable {
  keys: string[];
  counts: number[];
  mins: number[];
  maxs: number[];
  sums: ExactSum[];
  /** Rows whose value is no number; they are in no group. */
  skipped: number;
}

export interface GroupRow {
  key: string;
  count: number;
  mean: number;
  min: number;
  max: number;
}

/** Where each key stands in `table`; kept beside it, because a table on the wire is plain arrays. */
type KeyIndex = Map<string, number>;

const indexes = new WeakMap<GroupTable, KeyIndex>();

function indexOf(table: GroupTable): KeyIndex {
  let index = indexes.get(table);
  if (index === undefined) {
    index = new Map(table.keys.map((key, place) => [key, place]));
    indexes.set(table, index);
  }
  return index;
}

export function emptyTable(): GroupTable {
  return { keys: [], counts: [], mins: [], maxs: [], sums: [], skipped: 0 };
}

export function addValue(table: GroupTable, key: string, value: number): void {
  const sum = widen(table, key, 1, value, value);
  addExactly(sum, value);
}

/** Adds `source` to `target` and gives `target` back. */
export function mergeTables(target: GroupTable, source: GroupTable): GroupTable {
  source.keys.forEach((key, place) => {
    // The arrays of a table are equally long.
    const [count = 0, min = 0, max = 0] = [
      source.counts[place],
      source.mins[place],
      source.maxs[place],
    ];
    const sum = widen(target, key, count, min, max);
    for (const part of source.sums[place] ?? []) addExactly(sum, part);
  });
  target.skipped += source.skipped;
  return target;
}

/** Lets the group of `key`, a new one if need be, hold `count` more values between `min` and `max`; returns its sum. */
function widen(table: GroupTable, key: string, count: number, min: number, max: number): ExactSum {
  const { keys, counts, mins, maxs, sums } = table;
  const index = indexOf(table);
  const place = index.get(key);
  const sum = place === undefined ? undefined : sums[place];
  if (place === undefined || sum === undefined) {
    const empty: ExactSum = [];
    index.set(key, keys.length);
    keys.push(key);
    counts.push(count);
    mins.push(min);
    maxs.push(max);
    sums.push(empty);
    return empty;
  }
  counts[place] = (counts[place] ?? 0) + count;
  mins[place] = Math.min(mins[place] ?? min, min);
  maxs[place] = Math.max(maxs[place] ?? max, max);
  return sum;
}

/** One row per key, sorted by key in the order of UTF-16 code units. */
export function rowsOf(table: GroupTable): GroupRow[] {
  return table.keys
    .map((key, place) => {
      const count = table.counts[place] ?? 0;
      const mean = roundExactly(table.sums[place] ?? []) / count;
      return { key, count, mean, min: table.mins[place] ?? 0, max: table.maxs[place] ?? 0 };
    })
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}
