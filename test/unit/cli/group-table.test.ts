import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sameRows } from '../../../dist/cli/demo-outcome.js';
import {
  addValue,
  emptyTable,
  type GroupTable,
  mergeTables,
  rowsOf,
} from '../../../dist/cli/group-table.js';
import { groupByOneThread } from '../../../dist/cli/reference.js';

function tableOf(rows: readonly (readonly [string, number])[]): GroupTable {
  const table = emptyTable();
  for (const [key, value] of rows) addValue(table, key, value);
  return table;
}

describe('a table of groups', () => {
  test('counts, and knows mean, least and greatest per key', () => {
    const table = tableOf([
      ['b', 1],
      ['a', 2],
      ['b', 4],
    ]);
    expect(rowsOf(table)).toEqual([
      { key: 'a', count: 1, mean: 2, min: 2, max: 2 },
      { key: 'b', count: 2, mean: 2.5, min: 1, max: 4 },
    ]);
  });

  test('survives the way over the wire, where only plain arrays are left of it', () => {
    const travelled: GroupTable = JSON.parse(JSON.stringify(tableOf([['__proto__', 1]])));
    const merged = mergeTables(
      travelled,
      tableOf([
        ['__proto__', 3],
        ['constructor', 5],
      ]),
    );
    expect(rowsOf(merged)).toEqual([
      { key: '__proto__', count: 2, mean: 2, min: 1, max: 3 },
      { key: 'constructor', count: 1, mean: 5, min: 5, max: 5 },
    ]);
  });

  test('merging leaves the table that is added as it was', () => {
    const source = tableOf([['a', 0.1]]);
    const target = mergeTables(emptyTable(), source);
    addValue(target, 'a', 0.2);
    expect(source).toEqual(tableOf([['a', 0.1]]));
  });

  test('is the same whatever order tables are merged in', () => {
    const row = fc.tuple(
      fc.constantFrom('a', 'b', 'c'),
      fc.double({ min: -1e300, max: 1e300, noNaN: true }),
    );
    fc.assert(
      fc.property(fc.array(fc.array(row, { maxLength: 8 }), { maxLength: 8 }), (shards) => {
        const forward = shards.map(tableOf).reduce(mergeTables, emptyTable());
        const backward = shards
          .map(tableOf)
          .reduceRight((so, one) => mergeTables(so, one), emptyTable());
        expect(rowsOf(backward)).toEqual(rowsOf(forward));
      }),
    );
  });
});

describe('the one-thread reference', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'paipainet-test-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function referenceOf(text: string): ReturnType<typeof groupByOneThread> {
    const path = join(folder, 'table.csv');
    writeFileSync(path, text);
    return groupByOneThread(path, 'k', 'v');
  }

  test('groups a plain table', async () => {
    expect(await referenceOf('k,v\nx,1\ny,2\nx,4\n')).toEqual({
      rows: [
        { key: 'x', count: 2, mean: 2.5, min: 1, max: 4 },
        { key: 'y', count: 1, mean: 2, min: 2, max: 2 },
      ],
      skipped: 0,
    });
  });

  test.each([
    ['CRLF', 'k,v\r\nx,1\r\nx,3\r\n'],
    ['no final line end', 'k,v\nx,1\nx,3'],
    ['a byte order mark', '\uFEFFk,v\nx,1\nx,3\n'],
    ['a byte order mark before quotes', '\uFEFF"k","v"\nx,1\nx,3\n'],
    ['quotes', '"k","v"\n"x","1"\n"x","3"\n'],
    ['empty lines', 'k,v\n\nx,1\n\r\nx,3\n\n'],
    ['columns in another order', 'v,a,k\n1,,x\n3,"a, ""b""\n,x",x\n'],
    ['blanks about numbers', 'k,v\nx, 1\nx,3 \n'],
  ])('reads %s', async (_name, text) => {
    expect(await referenceOf(text)).toEqual({
      rows: [{ key: 'x', count: 2, mean: 2, min: 1, max: 3 }],
      skipped: 0,
    });
  });

  test('counts what is no number apart', async () => {
    const { rows, skipped } = await referenceOf(
      'k,v\nx,1\nx,\nx,NA\nx,0x10\nx,Infinity\nx,1e999\nx,"1,000"\ny,-\nx\nx,+.5e1\n',
    );
    expect(rows).toEqual([{ key: 'x', count: 2, mean: 3, min: 1, max: 5 }]);
    expect(skipped).toBe(8);
  });

  test('keeps quotes, commas and line ends of a key', async () => {
    const { rows } = await referenceOf('k,v\n"a ""q"", b\r\nc",1\n"",2\n');
    expect(rows.map(({ key }) => key)).toEqual(['', 'a "q", b\r\nc']);
  });

  test('takes a quote inside a field as text', async () => {
    const { rows } = await referenceOf('k,v\n5" pipe,1\na"",2\n');
    expect(rows.map(({ key }) => key)).toEqual(['5" pipe', 'a""']);
  });

  test('reads alike wherever the file is cut into chunks', async () => {
    // The reader takes chunks of 1 MiB: a row that is hard to cut, at every distance from that boundary.
    const hard = '"a ""b""\r\né",7\r\n';
    for (let shift = 0; shift <= Buffer.byteLength(hard); shift += 1) {
      const head = 'k,v\n';
      const filler = `${'f'.repeat(2 ** 20 - head.length - shift - 3)},1\n`;
      const { rows } = await referenceOf(head + filler + hard);
      expect(rows[0], `shift ${shift}`).toEqual({
        key: 'a "b"\r\né',
        count: 1,
        mean: 7,
        min: 7,
        max: 7,
      });
    }
  });

  test('sums as exactly as the nodes do', async () => {
    const value = fc.double({ min: -1e300, max: 1e300, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 40 }), async (values) => {
        const { rows } = await referenceOf(`k,v\n${values.map((v) => `x,${v}\n`).join('')}`);
        const table = tableOf(values.map((v) => ['x', v + 0] as const));
        expect(sameRows(rows, rowsOf(table))).toBe(true);
      }),
    );
  });
});

describe('comparing results', () => {
  const rows = [{ key: 'x', count: 2, mean: 2, min: 1, max: 3 }];

  test('equal rows are equal', () => {
    expect(sameRows(rows, structuredClone(rows))).toBe(true);
    expect(sameRows([], [])).toBe(true);
  });

  test.each([
    ['key', { key: 'y' }],
    ['count', { count: 3 }],
    ['mean, in its last bit', { mean: 2.0000000000000004 }],
    ['min', { min: 0 }],
    ['max', { max: 4 }],
  ])('a differing %s is told', (_name, change) => {
    expect(sameRows(rows, [{ ...rows[0]!, ...change }])).toBe(false);
  });

  test('missing and surplus rows are told', () => {
    expect(sameRows(rows, [])).toBe(false);
    expect(sameRows([], rows)).toBe(false);
  });
});
