import { parseCsvRecords } from '../data/csv.js';
import { addValue, emptyTable, type GroupTable, mergeTables } from './group-table.js';

/** The module of handlers that the demo's nodes load. */

/** Places of the two columns in a record, from 0. */
export interface GroupByArgs {
  readonly key: number;
  readonly value: number;
}

/** Groups the rows of a shard of CSV by one column; a table, merged with those of the other shards. */
export const groupBy = {
  process(
    shard: Uint8Array,
    { shardIndex, args }: { readonly shardIndex: number; readonly args: unknown },
  ): GroupTable {
    const columns = args as GroupByArgs; // The demo is the only caller.
    const table = emptyTable();
    parseCsvRecords(
      shard,
      (record) => {
        const value = parseNumber(record.text(columns.value));
        if (value === undefined) table.skipped += 1;
        else addValue(table, record.text(columns.key) ?? '', value);
      },
      { skipHeader: shardIndex === 0 },
    );
    return table;
  },

  merge(a: unknown, b: unknown): GroupTable {
    return mergeTables(a as GroupTable, b as GroupTable); // What `process` and `merge` gave.
  },
};

/** Beyond this, sums of very many values could leave the range of a double. */
const magnitudeMax = 1e300;

const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A decimal number, blanks around it allowed; undefined for anything else. */
function parseNumber(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? '';
  if (!decimal.test(trimmed)) return undefined;
  const value = Number(trimmed);
  // Adding 0 turns -0 into 0, so that the least of both does not depend on their order.
  return Math.abs(value) <= magnitudeMax ? value + 0 : undefined;
}
