import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { columnIndex, parseCsvRecords, readCsvHeader } from '../../../dist/data/csv.js';
import { BytesSource } from '../../../dist/data/memory-source.js';
import { splitSource } from '../../../dist/data/splitter.js';
import { collect, env, failureOf, temporaryFolder } from './support.js';

const folder = await temporaryFolder();

function parse(text: string | Uint8Array, options?: { skipHeader?: boolean }): string[][] {
  const rows: string[][] = [];
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  const count = parseCsvRecords(bytes, (record) => rows.push(record.texts()), options);
  expect(count).toBe(rows.length);
  return rows;
}

describe('records', () => {
  test('plain rows, with and without the header', () => {
    expect(parse('a,b\n1,2\n')).toEqual([
      ['a', 'b'],
      ['1', '2'],
    ]);
    expect(parse('a,b\n1,2\n', { skipHeader: true })).toEqual([['1', '2']]);
  });

  test.each([
    [
      'CRLF',
      'a,b\r\n1,2\r\n',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    ['no final newline', 'a\nb', [['a'], ['b']]],
    ['a byte order mark', '\ufeffa,b\n', [['a', 'b']]],
    ['a byte order mark before a quote', '\ufeff"a","b"\n', [['a', 'b']]],
    [
      'quotes, doubled quotes, commas and newlines inside',
      '"a ""b""","c,\r\nd"\r\ne,""\n',
      [
        ['a "b"', 'c,\r\nd'],
        ['e', ''],
      ],
    ],
    [
      'empty fields',
      ',\n,,x\n',
      [
        ['', ''],
        ['', '', 'x'],
      ],
    ],
    ['a comma at the very end', 'a,', [['a', '']]],
    ['quotes inside a plain field', '5" pipe,a"b"\n', [['5" pipe', 'a"b"']]],
    ['blank lines', '\n\r\na\n\n\r\nb\n\n', [['a'], ['b']]],
    ['a lone carriage return', 'a\rb,c\r\n', [['a\rb', 'c']]],
    ['a quoted empty line', '""\n', [['']]],
    ['other scripts', 'Zürich,東京,🙂\n', [['Zürich', '東京', '🙂']]],
    ['nothing', '', []],
    ['only a byte order mark', '\ufeff', []],
  ])('%s', (_, text, rows) => {
    expect(parse(text)).toEqual(rows);
  });

  test.each(['"open', 'a,"open\nb,c\n', '"closed"text,a\n', '"a""\n'])(
    '%j is no CSV',
    async (text) => {
      expect(await failureOf(() => parse(text))).toMatchObject({ code: 'PAIPAI_ERR_CSV_SYNTAX' });
    },
  );

  test('a field beyond the last is undefined', () => {
    parseCsvRecords(Buffer.from('a,b\n'), (record) => {
      expect(record.fieldCount).toBe(2);
      expect([record.text(1), record.text(2), record.text(-1)]).toEqual([
        'b',
        undefined,
        undefined,
      ]);
    });
  });

  test('memory that threads share, at an odd place', () => {
    const text = Buffer.from('"Zürich ""x""",1\n');
    const shared = new Uint8Array(new SharedArrayBuffer(100), 7, text.byteLength);
    shared.set(text);
    expect(parse(shared)).toEqual([['Zürich "x"', '1']]);
  });

  test('property: what was written is read, in one piece and shard by shard', async () => {
    const written = fc.array(
      fc.array(fc.tuple(fc.stringMatching(/^[a-c",\r\né]{0,6}$/), fc.boolean()), {
        minLength: 1,
        maxLength: 4,
      }),
      { minLength: 1, maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(written, fc.constantFrom('\n', '\r\n'), async (table, newline) => {
        const lines = table.map((row) =>
          row
            .map(([text, quoted]) =>
              quoted || text === '' || /[",\r\n]/.test(text)
                ? `"${text.replaceAll('"', '""')}"`
                : text,
            )
            .join(','),
        );
        const bytes = Buffer.from(lines.map((line) => line + newline).join(''));
        const rows = table.map((row) => row.map(([text]) => text));
        expect(parse(bytes)).toEqual(rows);
        const shardBytes = Math.max(...lines.map((line) => Buffer.byteLength(line) + 2));
        const source = new BytesSource(bytes);
        const shards = await collect(splitSource(env, source, { shardBytes, records: 'csv' }));
        expect(shards.flatMap((shard) => parse(shard.content))).toEqual(rows);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the header', () => {
  test('of bytes and of a file', async () => {
    const text = '\ufeffname,"first, last",x\r\n1,2,3\r\n';
    const header = { columns: ['name', 'first, last', 'x'], headerBytes: 25, bom: true };
    expect(await readCsvHeader(env, Buffer.from(text))).toEqual(header);
    const path = join(folder, 'table.csv');
    await writeFile(path, text);
    expect(await readCsvHeader(env, path)).toEqual(header);
    expect(await readCsvHeader(env, Buffer.from('only'))).toEqual({
      columns: ['only'],
      headerBytes: 4,
      bom: false,
    });
  });

  test('the place of a column, or PAIPAI_ERR_CSV_COLUMN with those there are', async () => {
    const header = await readCsvHeader(env, Buffer.from('a,b\n'));
    expect(columnIndex(header, 'b')).toBe(1);
    expect(await failureOf(() => columnIndex(header, 'c'))).toMatchObject({
      code: 'PAIPAI_ERR_CSV_COLUMN',
      message: expect.stringContaining('"a", "b"'),
    });
  });

  test('a table without one', async () => {
    for (const text of ['', '\ufeff', '\n\r\n']) {
      expect(await failureOf(readCsvHeader(env, Buffer.from(text)))).toMatchObject({
        code: 'PAIPAI_ERR_DATA_EMPTY',
      });
    }
    expect(await failureOf(readCsvHeader(env, join(folder, 'missing.csv')))).toMatchObject({
      code: 'PAIPAI_ERR_SOURCE_FAILED',
      cause: { code: 'ENOENT' },
    });
  });

  test('one of a MiB is read, a longer one is none', async () => {
    const path = join(folder, 'wide.csv');
    const wide = 'x'.repeat(1024 * 1024 - 1);
    await writeFile(path, `${wide}\n1\n`);
    expect(await readCsvHeader(env, path)).toMatchObject({ columns: [wide] });
    await writeFile(path, `${wide}x\n1\n`);
    expect(await failureOf(readCsvHeader(env, path))).toMatchObject({
      code: 'PAIPAI_ERR_RECORD_TOO_LONG',
    });
  });
});
