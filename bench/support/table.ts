import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { origins } from './packages.js';
import { countAndSum, type Groups, mergeGroups } from './table-job.js';

/** The table of the case `process`: zipcodes.csv of vega-datasets, with its rows over and over. */

const quote = 0x22;
const lineFeed = 0x0a;

/** Where it is installed; undefined when it is not. The package lets nobody ask for a file of its own by name. */
function originalPath(): string | undefined {
  const folders = origins.flatMap(
    (origin) => createRequire(origin).resolve.paths('vega-datasets') ?? [],
  );
  return folders
    .map((folder) => join(folder, 'vega-datasets', 'data', 'zipcodes.csv'))
    .find(existsSync);
}

/** Null, or why there is no table here. */
export function tableObstacle(): string | null {
  if (originalPath() !== undefined) return null;
  return 'vega-datasets, whose zipcodes.csv is the table, is not installed; npm install --no-save vega-datasets@3';
}

export interface Table {
  readonly bytes: Buffer;
  /** What the job makes of it, as `checksumOf` says it, from one reading of the original. */
  readonly expected: string;
}

/** One header, and the rows as often as come nearest to `bytes`, at least once. */
export function makeTable(bytes: number): Table {
  const path = originalPath();
  if (path === undefined) throw new Error(tableObstacle() ?? '');
  const original = readFileSync(path);
  const headerBytes = original.indexOf(lineFeed) + 1;
  const rows = original.subarray(headerBytes);
  if (rows.at(-1) !== lineFeed) throw new Error(`${path} does not end with a line end`);
  const times = Math.max(1, Math.round((bytes - headerBytes) / rows.length));
  const table = Buffer.allocUnsafeSlow(headerBytes + times * rows.length);
  original.copy(table);
  for (let at = original.length; at < table.length; at += rows.length) rows.copy(table, at);
  const once = countAndSum(original, true);
  const groups = Object.entries(once).map(
    ([key, { count, sum }]) => [key, { count: count * times, sum: sum * times }] as const,
  );
  return { bytes: table, expected: checksumOf(Object.fromEntries(groups)) };
}

/** SHA-256 of groups, in whatever order. */
export function checksumOf(groups: Groups): string {
  const rows = Object.entries(groups).map(([key, { count, sum }]) => `${count},${sum},${key}`);
  return createHash('sha256').update(rows.sort().join('\n')).digest('hex');
}

/** As many as have a processor each. */
export const workerCount: number = availableParallelism();

const pieceBytesMax = 4 * 2 ** 20;
const piecesPerWorker = 4;

/** What one task works on at most: large enough that its answer costs little beside it, small enough that all workers end together. */
export function pieceBytesOf(tableBytes: number): number {
  return Math.min(pieceBytesMax, Math.ceil(tableBytes / (workerCount * piecesPerWorker)));
}

export interface Piece {
  readonly start: number;
  readonly end: number;
}

/** Cuts a table behind rows, each piece as long as rows and `pieceBytes` allow. */
export function* cutAtRows(bytes: Buffer, pieceBytes: number): Generator<Piece, void, undefined> {
  let start = 0;
  while (start < bytes.length) {
    const rest = bytes.subarray(start, start + pieceBytes);
    const isLast = start + rest.length === bytes.length;
    const end = start + (isLast ? rest.length : lastRowEnd(rest));
    if (end === start) throw new Error(`a row is longer than ${pieceBytes} bytes`);
    yield { start, end };
    start = end;
  }
}

/** Behind the last row that ends in `bytes`, which begin with one; 0 when none does. Between quotes a line end is text. */
function lastRowEnd(bytes: Buffer): number {
  let rowEnd = 0;
  for (let at = 0; ; ) {
    const opening = bytes.indexOf(quote, at);
    const plain = bytes.subarray(at, opening < 0 ? bytes.length : opening);
    const lineEnd = plain.lastIndexOf(lineFeed);
    if (lineEnd >= 0) rowEnd = at + lineEnd + 1;
    const closing = opening < 0 ? -1 : bytes.indexOf(quote, opening + 1);
    if (closing < 0) return rowEnd;
    at = closing + 1;
  }
}

/** The same over all pieces, at most `inFlight` of them at once; what came of them, merged. */
export async function processPieces(
  pieces: Iterable<Piece>,
  inFlight: number,
  processPiece: (piece: Piece) => Promise<Groups>,
): Promise<Groups> {
  const whole: Groups = {};
  const left = pieces[Symbol.iterator]();
  const takeTurns = async (): Promise<void> => {
    for (let next = left.next(); next.done !== true; next = left.next()) {
      mergeGroups(whole, await processPiece(next.value));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, takeTurns));
  return whole;
}
