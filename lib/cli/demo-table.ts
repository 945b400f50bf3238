import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import type { Env } from '../base/env.js';
import { PaipaiError, toError } from '../base/errors.js';
import { columnIndex, readCsvHeader } from '../data/csv.js';
import { usageError } from './command.js';

/** The table that the demo works on. */
export interface DemoTable {
  readonly path: string;
  readonly name: string;
  readonly bytes: number;
  readonly key: { readonly name: string; readonly index: number };
  readonly value: { readonly name: string; readonly index: number };
}

export interface TableChoice {
  readonly file: string | undefined;
  readonly key: string | undefined;
  readonly value: string | undefined;
}

/** Columns of `zipcodes.csv`, the table that is taken when no FILE is given. */
const ownColumns = { key: 'state', value: 'latitude' };

/**
 * Finds the table and its columns before anything is started.
 * @throws PaipaiError PAIPAI_ERR_SOURCE_FAILED, _DATA_EMPTY, _CSV_COLUMN, _CSV_SYNTAX, _INVALID_ARGUMENT.
 */
export async function openTable(env: Env, choice: TableChoice): Promise<DemoTable> {
  const path = choice.file === undefined ? ownTable() : resolve(choice.file);
  const bytes = sizeOf(path, choice.file ?? path);
  if (bytes === 0) {
    throw new PaipaiError('PAIPAI_ERR_DATA_EMPTY', `${path} is empty; give a CSV file with rows`);
  }
  const header = await readCsvHeader(env, path);
  const defaults = choice.file === undefined ? ownColumns : undefined;
  const key = choice.key ?? defaults?.key;
  const value = choice.value ?? defaults?.value;
  if (key === undefined || value === undefined) {
    const missing = [key === undefined ? '--key' : '', value === undefined ? '--value' : ''];
    const columns = header.columns.slice(0, 40).map((column) => JSON.stringify(column));
    throw usageError(
      'demo',
      `Give ${missing.filter(Boolean).join(' and ')}; ${basename(path)} has the columns ${columns.join(', ')}`,
    );
  }
  return {
    path,
    name: basename(path),
    bytes,
    key: { name: key, index: columnIndex(header, key) },
    value: { name: value, index: columnIndex(header, value) },
  };
}

/** `zipcodes.csv` of vega-datasets, as installed with this package or in the current folder. */
function ownTable(): string {
  const places = [import.meta.url, join(process.cwd(), 'package.json')];
  for (const place of places) {
    for (const folder of createRequire(place).resolve.paths('vega-datasets') ?? []) {
      const path = join(folder, 'vega-datasets', 'data', 'zipcodes.csv');
      if (existsSync(path)) return path;
    }
  }
  throw usageError(
    'demo',
    'vega-datasets, whose zipcodes.csv is the table of this demo, is not installed; give a CSV file: paipainet demo FILE --key COLUMN --value COLUMN',
  );
}

function sizeOf(path: string, given: string): number {
  try {
    const stat = statSync(path);
    // The reference reads the file a second time, which a pipe does not allow.
    if (stat.isFile()) return stat.size;
  } catch (thrown) {
    const error = toError(thrown) as NodeJS.ErrnoException; // node:fs throws nothing else.
    const why = error.code === 'ENOENT' ? 'there is no such file' : error.message;
    throw new PaipaiError('PAIPAI_ERR_SOURCE_FAILED', `${given} cannot be read: ${why}`, {
      cause: error,
    });
  }
  throw new PaipaiError('PAIPAI_ERR_SOURCE_FAILED', `${given} is not a regular file`);
}
