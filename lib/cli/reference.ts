import { createReadStream } from 'node:fs';
import type { GroupRow } from './group-table.js';

/**
 * The same question answered the plain way, to compare with: one thread, one pass over the file, its own reading of CSV and
 * its own exact sum (in big integers). It shares no code with what runs on the nodes. Memory grows with the number of groups only.
 */
export async function groupByOneThread(
  path: string,
  keyColumn: string,
  valueColumn: string,
  signal?: AbortSignal,
): Promise<{ rows: GroupRow[]; skipped: number }> {
  const groups = new Map<string, Group>();
  let columns: { key: number; value: number } | undefined;
  let skipped = 0;
  await eachRecord(path, signal, (record) => {
    if (columns === undefined) {
      columns = { key: record.indexOf(keyColumn), value: record.indexOf(valueColumn) };
      return;
    }
    const value = numberIn(record[columns.value]);
    if (value === undefined) {
      skipped += 1;
      return;
    }
    const key = record[columns.key] ?? '';
    let group = groups.get(key);
    if (group === undefined) {
      group = { count: 0, min: value, max: value, sum: new BigSum() };
      groups.set(key, group);
    }
    group.count += 1;
    if (value < group.min) group.min = value;
    if (value > group.max) group.max = value;
    group.sum.add(value);
  });
  const rows = [...groups].map(([key, { count, min, max, sum }]) => {
    return { key, count, mean: sum.total() / count, min, max };
  });
  rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { rows, skipped };
}

interface Group {
  count: number;
  min: number;
  max: number;
  sum: BigSum;
}

function numberIn(text: string | undefined): number | undefined {
  const trimmed = (text ?? '').trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return undefined;
  const value = Number.parseFloat(trimmed);
  return Math.abs(value) <= 1e300 ? value + 0 : undefined;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const quote = 0x22;
const comma = 0x2c;

/** RFC 4180 with LF or CRLF, a byte order mark or none, a final line end or none; empty lines are no records. */
async function eachRecord(
  path: string,
  signal: AbortSignal | undefined,
  onRecord: (record: string[]) => void,
): Promise<void> {
  let record: string[] = [];
  let field = '';
  let quoted = false;
  let wasQuoted = false;
  let afterReturn = false;
  let first = true;

  const endField = (): void => {
    record.push(field);
    field = '';
  };
  const endRecord = (): void => {
    const empty = record.length === 0 && field === '' && !wasQuoted;
    endField();
    wasQuoted = false;
    if (!empty) onRecord(record);
    record = [];
  };

  const stream = createReadStream(path, { encoding: 'utf8', highWaterMark: 1 << 20, signal });
  for await (const chunk of stream) {
    const text = String(chunk);
    let start = first && text.startsWith('\uFEFF') ? 1 : 0;
    first = false;
    for (let at = start; at < text.length; at += 1) {
      const character = text.charCodeAt(at);
      if (quoted) {
        if (character !== quote) continue;
        field += text.slice(start, at);
        start = at + 1;
        quoted = false;
        continue;
      }
      if (afterReturn) {
        afterReturn = false;
        if (character !== lineFeed) field += '\r';
      }
      // A quote opens a field only as its first character; directly behind a closing quote it is a doubled one.
      if (character === quote && start === at && (wasQuoted || field === '')) {
        if (wasQuoted) field += '"';
        start = at + 1;
        quoted = true;
        wasQuoted = true;
      } else if (character === comma || character === lineFeed || character === carriageReturn) {
        field += text.slice(start, at);
        start = at + 1;
        if (character === comma) {
          endField();
          wasQuoted = false;
        } else if (character === lineFeed) {
          endRecord();
        } else {
          afterReturn = true;
        }
      }
    }
    field += text.slice(start);
  }
  if (afterReturn) field += '\r';
  if (record.length > 0 || field !== '' || wasQuoted) endRecord();
}

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
const [lowWord, highWord] = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? [0, 1] : [1, 0];

/** Doubles are integers times a power of two: their integers are summed per power, and nothing is ever rounded before `total`. */
class BigSum {
  readonly #mantissas = new Map<number, bigint>();

  add(value: number): void {
    double[0] = value;
    const high = words[highWord] ?? 0;
    const biased = (high >>> 20) & 0x7ff;
    const leading = (high & 0xf_ffff) + (biased === 0 ? 0 : 0x10_0000);
    const mantissa = leading * 0x1_0000_0000 + (words[lowWord] ?? 0);
    const power = Math.max(biased, 1) - 1075;
    const signed = BigInt(value < 0 ? -mantissa : mantissa);
    this.#mantissas.set(power, (this.#mantissas.get(power) ?? 0n) + signed);
  }

  /** The nearest double, ties to even. */
  total(): number {
    const unit = Math.min(...this.#mantissas.keys());
    let sum = 0n;
    for (const [power, mantissa] of this.#mantissas) sum += mantissa << BigInt(power - unit);
    const size = sum < 0n ? -sum : sum;
    // 64 bits and one that says whether anything was cut off are enough to round once, in Number().
    const cut = Math.max(0, size.toString(2).length - 64);
    const top = size >> BigInt(cut);
    const inexact = top << BigInt(cut) === size ? 0n : 1n;
    const total = Number(top | inexact) * 2 ** (unit + cut);
    return sum < 0n ? -total : total;
  }
}
