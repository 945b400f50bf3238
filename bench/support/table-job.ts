/**
 * The job of the case `process`, the same code for every peer: rows of a CSV table, counted and summed up by a column. Sums are of whole
 * millionths, so that they come out the same in whatever order parts are merged.
 */

/** By the text of the key column. */
export type Groups = Record<string, Group>;

export interface Group {
  count: number;
  /** In millionths. */
  sum: number;
}

/** Places in a row of zipcodes.csv. */
const latitude = 1;
const county = 5;

const comma = 0x2c;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const quote = 0x22;

/** Of `bytes`, which hold whole rows and, with `hasHeader`, one more before them. */
export function countAndSum(bytes: Uint8Array, hasHeader: boolean): Groups {
  // A Buffer decodes memory that threads share, which TextDecoder refuses.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  const groups = new Map<string, Group>();
  let isRow = !hasHeader;
  readRows(text, (fields) => {
    if (isRow) add(groups, fields[county] ?? '', Math.round(Number(fields[latitude]) * 1e6));
    isRow = true;
  });
  return Object.fromEntries(groups);
}

/** Adds `from` to `into`, and gives that back. */
export function mergeGroups(into: Groups, from: Groups): Groups {
  for (const [key, { count, sum }] of Object.entries(from)) {
    const group = into[key];
    if (group === undefined) {
      into[key] = { count, sum };
    } else {
      group.count += count;
      group.sum += sum;
    }
  }
  return into;
}

function add(groups: Map<string, Group>, key: string, value: number): void {
  const group = groups.get(key);
  if (group === undefined) {
    groups.set(key, { count: 1, sum: value });
  } else {
    group.count++;
    group.sum += value;
  }
}

/** Rows as RFC 4180 has them. `fields` is written again for the next row. */
function readRows(text: string, onRow: (fields: readonly string[]) => void): void {
  const fields: string[] = [];
  let at = 0;
  while (at < text.length) {
    let count = 0;
    for (;;) {
      const isQuoted = text.charCodeAt(at) === quote;
      const end = isQuoted ? closingQuote(text, at + 1) : endOfField(text, at);
      fields[count++] = isQuoted
        ? text.slice(at + 1, end).replaceAll('""', '"')
        : text.slice(at, end);
      at = isQuoted ? end + 1 : end;
      if (text.charCodeAt(at) !== comma) break;
      at++;
    }
    if (text.charCodeAt(at) === carriageReturn) at++;
    at++;
    fields.length = count;
    onRow(fields);
  }
}

function endOfField(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === comma || unit === lineFeed || unit === carriageReturn) return at;
  }
  return text.length;
}

function closingQuote(text: string, start: number): number {
  let at = text.indexOf('"', start);
  while (at >= 0 && text.charCodeAt(at + 1) === quote) at = text.indexOf('"', at + 2);
  if (at < 0) throw new Error('the quotes of a field are not closed');
  return at;
}
