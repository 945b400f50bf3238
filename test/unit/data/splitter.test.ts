import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FileSource } from '../../../dist/data/file-source.js';
import { BytesSource, ZeroSource } from '../../../dist/data/memory-source.js';
import { shardBytesMax, shardCountMax } from '../../../dist/data/shard.js';
import type { DataSource } from '../../../dist/data/source.js';
import { planCuts, splitSource } from '../../../dist/data/splitter.js';
import { StreamSource } from '../../../dist/data/stream-source.js';
import { chunksOf, collect, cutsOf, env, failureOf, pattern, temporaryFolder } from './support.js';

const folder = await temporaryFolder();

function expectCover(
  shards: readonly {
    index: number;
    offset: number;
    bytes: number;
    content: Uint8Array;
    last: boolean;
  }[],
  content: Uint8Array,
): void {
  let offset = 0;
  for (const [index, shard] of shards.entries()) {
    expect(shard).toMatchObject({ index, offset, bytes: shard.content.byteLength });
    expect(shard.bytes).toBeGreaterThan(0);
    expect(shard.last).toBe(index === shards.length - 1);
    offset += shard.bytes;
  }
  expect(Buffer.concat(shards.map((shard) => shard.content)).equals(content)).toBe(true);
}

describe('splitting at a size', () => {
  test('cuts bytes into equal shards and a rest', async () => {
    const content = pattern(2500);
    const shards = await collect(splitSource(env, new BytesSource(content), { shardBytes: 1000 }));
    expect(shards.map((shard) => shard.bytes)).toEqual([1000, 1000, 500]);
    expectCover(shards, content);
  });

  test('views bytes in memory instead of copying them', async () => {
    const content = pattern(100);
    for await (const piece of splitSource(env, new BytesSource(content), { shardBytes: 30 })) {
      expect(piece.content.buffer).toBe(content.buffer);
      expect(piece.content.byteOffset).toBe(piece.offset);
    }
  });

  test.each([999, 1000, 1001, 1999, 2000, 2001, 1])('%i bytes in shards of 1000', async (size) => {
    const content = pattern(size);
    const path = join(folder, `edge-${size}`);
    await writeFile(path, content);
    const sources: DataSource[] = [
      new BytesSource(content),
      new FileSource(path),
      new StreamSource(chunksOf(content, [1000])),
      new StreamSource(chunksOf(content, [7, 600])),
    ];
    for (const source of sources) {
      const shards = await collect(splitSource(env, source, { shardBytes: 1000 }));
      expect(shards).toHaveLength(Math.ceil(size / 1000));
      expectCover(shards, content);
    }
  });

  test('a shard of 64 MiB, and of one byte', async () => {
    const source = new ZeroSource(shardBytesMax + 1);
    const shards = await planCuts(env, source, { shardBytes: shardBytesMax });
    expect(shards.map((shard) => shard.bytes)).toEqual([shardBytesMax, 1]);
    const read: number[] = [];
    for await (const piece of splitSource(env, source, { shardBytes: shardBytesMax })) {
      read.push(piece.content.byteLength);
      piece.release();
    }
    expect(read).toEqual([shardBytesMax, 1]);
    const single = await collect(splitSource(env, new BytesSource(pattern(3)), { shardBytes: 1 }));
    expectCover(single, pattern(3));
  });

  test.each([0, -1, shardBytesMax + 1])('a shard size of %i is refused', async (shardBytes) => {
    const work = collect(splitSource(env, new ZeroSource(10), { shardBytes }));
    expect(await failureOf(work)).toMatchObject({ code: 'PAIPAI_ERR_SHARD_SIZE' });
    const plan = planCuts(env, new ZeroSource(10), { shardBytes });
    expect(await failureOf(plan)).toMatchObject({ code: 'PAIPAI_ERR_SHARD_SIZE' });
  });

  test('more shards than may be planned are refused before the first', async () => {
    const source = new ZeroSource(shardCountMax + 1);
    expect(await failureOf(planCuts(env, source, { shardBytes: 1 }))).toMatchObject({
      code: 'PAIPAI_ERR_SHARD_SIZE',
    });
    expect(await failureOf(collect(splitSource(env, source, { shardBytes: 1 })))).toMatchObject({
      code: 'PAIPAI_ERR_SHARD_SIZE',
    });
  });

  test('nothing at all is PAIPAI_ERR_DATA_EMPTY, whatever it comes from', async () => {
    const path = join(folder, 'empty');
    await writeFile(path, '');
    const empty = { code: 'PAIPAI_ERR_DATA_EMPTY' };
    for (const source of [
      new ZeroSource(0),
      new BytesSource(new Uint8Array(0)),
      new FileSource(path),
    ]) {
      expect(await failureOf(collect(splitSource(env, source)))).toMatchObject(empty);
      expect(await failureOf(planCuts(env, source))).toMatchObject(empty);
    }
    const stream = new StreamSource(chunksOf(new Uint8Array(0), [1]));
    expect(await failureOf(collect(splitSource(env, stream)))).toMatchObject(empty);
  });

  test('terabytes of zeros take one block of memory', async () => {
    let pieces = 0;
    for await (const piece of splitSource(env, new ZeroSource(2 ** 40))) {
      expect(piece.bytes).toBe(1024 * 1024);
      piece.release();
      if (++pieces === 1000) break;
    }
    expect(await planCuts(env, new ZeroSource(2 ** 40))).toHaveLength(2 ** 20);
  });

  test('property: any size, any cut, any source gives the same exact cover, as planned', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 1500 }),
        fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 5 }),
        async (size, shardBytes, chunkSizes) => {
          const content = pattern(size, size);
          const path = join(folder, `property-${run++ % 4}`);
          await writeFile(path, content);
          const plan = await planCuts(env, new BytesSource(content), { shardBytes });
          for (const source of [
            new BytesSource(content),
            new FileSource(path),
            new StreamSource(chunksOf(content, chunkSizes)),
          ]) {
            const shards = await collect(splitSource(env, source, { shardBytes }));
            expectCover(shards, content);
            expect(cutsOf(shards)).toEqual(plan);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test('pieces that are kept stay as they were while others are read', async () => {
    const content = pattern(300_000);
    const path = join(folder, 'kept');
    await writeFile(path, content);
    for (const source of [new FileSource(path), new StreamSource(chunksOf(content, [999]))]) {
      const kept = [];
      for await (const piece of splitSource(env, source, { shardBytes: 1000 })) {
        if (piece.index % 3 === 0) kept.push(piece);
        else piece.release();
      }
      for (const { offset, bytes, content: shard } of kept) {
        expect(Buffer.compare(shard, content.subarray(offset, offset + bytes))).toBe(0);
      }
    }
  });
});

describe('splitting at records', () => {
  test('lines stay whole, and shards take as many as fit', async () => {
    const text = 'one\ntwo\nthree\nfour\nfive';
    const shards = await collect(
      splitSource(env, new BytesSource(Buffer.from(text)), { shardBytes: 9, records: 'lines' }),
    );
    const parts = shards.map((shard) => Buffer.from(shard.content).toString());
    expect(parts).toEqual(['one\ntwo\n', 'three\n', 'four\nfive']);
  });

  test('a quoted field with newlines, doubled quotes and commas stays whole', async () => {
    const rows = ['a,b\r\n', '"x\r\ny ""z"", w",1\r\n', '5" pipe,2\r\n', ',"\n"'];
    const shards = await collect(
      splitSource(env, new BytesSource(Buffer.from(rows.join(''))), {
        shardBytes: 22,
        records: 'csv',
      }),
    );
    const parts = shards.map((shard) => Buffer.from(shard.content).toString());
    expect(parts).toEqual([rows[0], rows[1], `${rows[2]}${rows[3]}`]);
  });

  test('a byte order mark does not hide the quote behind it', async () => {
    const rows = ['\ufeff"first\ncolumn",b\n', '1,2\n'];
    const shards = await collect(
      splitSource(env, new BytesSource(Buffer.from(rows.join(''))), {
        shardBytes: 21,
        records: 'csv',
      }),
    );
    expect(shards.map((shard) => Buffer.from(shard.content).toString())).toEqual(rows);
  });

  test.each(['csv', 'lines'] as const)('%s: a record of n-1, n and n+1 bytes', async (records) => {
    const split = (text: string) =>
      collect(splitSource(env, new BytesSource(Buffer.from(text)), { shardBytes: 10, records }));
    expect(await split('12345678\nx\n')).toHaveLength(2);
    expect(await split('123456789\nx\n')).toHaveLength(2);
    expect(await split('x\n123456789\n')).toHaveLength(2);
    expect(await split('1234567890')).toHaveLength(1);
    const tooLong = { code: 'PAIPAI_ERR_RECORD_TOO_LONG' };
    expect(await failureOf(split('1234567890\nx\n'))).toMatchObject(tooLong);
    expect(await failureOf(split('x\n1234567890\n'))).toMatchObject(tooLong);
    expect(await failureOf(split('x\n12345678901'))).toMatchObject(tooLong);
  });

  test('zeros have no lines', async () => {
    const split = (size: number) =>
      collect(splitSource(env, new ZeroSource(size), { shardBytes: 10, records: 'lines' }));
    expect(await split(10)).toHaveLength(1);
    expect(await failureOf(split(11))).toMatchObject({ code: 'PAIPAI_ERR_RECORD_TOO_LONG' });
  });

  test('quotes that are never closed', async () => {
    const split = (text: string, shardBytes: number) =>
      collect(splitSource(env, new BytesSource(Buffer.from(text)), { shardBytes, records: 'csv' }));
    expect(await failureOf(split('a,b\n1,"open\n2,3\n', 100))).toMatchObject({
      code: 'PAIPAI_ERR_CSV_SYNTAX',
      message: expect.stringContaining('byte 4'),
    });
    expect(await failureOf(split(`a,b\n1,"${'open\n'.repeat(9)}`, 20))).toMatchObject({
      code: 'PAIPAI_ERR_RECORD_TOO_LONG',
    });
  });

  const field = fc.oneof(
    fc.constantFrom('', 'a', 'Zürich', '5" pipe', '12.5', ' "x" '),
    fc
      .array(fc.constantFrom('""', ',', '\n', '\r\n', 'b', 'ß'), { maxLength: 8 })
      .map((parts) => `"${parts.join('')}"`),
  );
  const table = fc
    .tuple(
      fc.boolean(),
      fc.array(
        fc.tuple(fc.array(field, { minLength: 1, maxLength: 4 }), fc.constantFrom('\n', '\r\n')),
        {
          minLength: 1,
          maxLength: 40,
        },
      ),
      fc.boolean(),
    )
    .map(([mark, rows, newline]) => {
      const records: Uint8Array[] = rows.map(([fields, end]) =>
        Buffer.from(`${fields.join(',')}${end}`),
      );
      if (mark) records[0] = Buffer.concat([Buffer.from('\ufeff'), records[0]!]);
      const final = records.at(-1)!;
      const ends = final.at(-2) === 13 ? 2 : 1;
      if (!newline && final.byteLength > ends)
        records[records.length - 1] = final.subarray(0, -ends);
      return records;
    });

  test('property: no record is cut, shards are filled greedily and make up the file', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        table,
        fc.integer({ min: 0, max: 100 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 }),
        async (records, spare, chunkSizes) => {
          const content = Buffer.concat(records);
          const longest = Math.max(...records.map((record) => record.byteLength));
          const shardBytes = longest + spare;
          const expected: number[] = [];
          for (const { byteLength } of records) {
            const filled = expected.at(-1);
            if (filled === undefined || filled + byteLength > shardBytes) expected.push(byteLength);
            else expected[expected.length - 1] = filled + byteLength;
          }
          const path = join(folder, `table-${run++ % 4}`);
          await writeFile(path, content);
          const options = { shardBytes, records: 'csv' } as const;
          const plan = await planCuts(env, new FileSource(path), options);
          for (const source of [
            new BytesSource(content),
            new FileSource(path),
            new StreamSource(chunksOf(content, chunkSizes)),
          ]) {
            const shards = await collect(splitSource(env, source, options));
            expectCover(shards, content);
            expect(shards.map((shard) => shard.bytes)).toEqual(expected);
            expect(cutsOf(shards)).toEqual(plan);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('only a shard that spans two blocks is copied: nothing that is in memory', async () => {
    const content = Buffer.from(`${'x'.repeat(99)}\n`.repeat(40_000));
    const options = { shardBytes: 65_536, records: 'lines' } as const;
    const copies = async (source: DataSource): Promise<number> => {
      let count = 0;
      for await (const piece of splitSource(env, source, options)) {
        if (piece.content.buffer !== content.buffer) count++;
      }
      return count;
    };
    expect(await copies(new BytesSource(content))).toBe(0);
    // Blocks of 1 MiB, so 4 of them.
    expect(await copies(new StreamSource(chunksOf(content, [2 ** 20])))).toBe(3);
  });

  test('a table larger than the blocks it is read in', async () => {
    const rows = Array.from({ length: 200_000 }, (_, row) =>
      row % 5 === 0 ? `${row},"quoted\n${row}",x\n` : `${row},plain,${'y'.repeat(row % 40)}\n`,
    );
    const content = Buffer.from(rows.join(''));
    const path = join(folder, 'large.csv');
    await writeFile(path, content);
    const ends = new Set<number>();
    let end = 0;
    for (const row of rows) {
      end += row.length;
      ends.add(end);
    }
    for (const source of [new FileSource(path), new StreamSource(chunksOf(content, [65_536]))]) {
      const shards = await collect(
        splitSource(env, source, { shardBytes: 65_536, records: 'csv' }),
      );
      expectCover(shards, content);
      expect(shards.every(({ offset, bytes }) => ends.has(offset + bytes))).toBe(true);
      expect(shards.slice(0, -1).every(({ bytes }) => bytes > 65_536 - 64)).toBe(true);
    }
  });
});

test('a stream cannot be planned', async () => {
  const plan = planCuts(env, new StreamSource(chunksOf(pattern(10), [5])));
  expect(await failureOf(plan)).toMatchObject({ code: 'PAIPAI_ERR_INVALID_STATE' });
});
