import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Data, type DataInput } from '../../../dist/api/data.js';
import { splitSource } from '../../../dist/data/splitter.js';
import { collect, env, failureOf, pattern, temporaryFolder } from '../data/support.js';

const folder = await temporaryFolder();
const content = pattern(5000);

async function contentOf(data: Data): Promise<Buffer> {
  const shards = await collect(splitSource(env, data.source, data));
  return Buffer.concat(shards.map((shard) => shard.content));
}

test('a size: that many zero bytes', async () => {
  const data = new Data(1, 1024);
  expect([data.id, data.sizeBytes, data.shardBytes, data.version]).toEqual([
    '1',
    1024,
    1024 * 1024,
    0n,
  ]);
  expect((await contentOf(data)).equals(Buffer.alloc(1024))).toBe(true);
});

test('bytes, of every kind, without a copy', async () => {
  const shared = new Uint8Array(new SharedArrayBuffer(content.byteLength));
  shared.set(content);
  const aligned = content.buffer as ArrayBuffer; // `pattern` allocates it for itself.
  for (const bytes of [content, aligned, shared, shared.buffer, Buffer.from(content)]) {
    const data = new Data('bytes', bytes);
    expect(data.sizeBytes).toBe(5000);
    expect((await contentOf(data)).equals(content)).toBe(true);
  }
  const part = new Data('part', new DataView(aligned, 10, 20) as unknown as Uint8Array); // Any view will do.
  expect((await contentOf(part)).equals(content.subarray(10, 30))).toBe(true);
});

test('streams: Node, web, async iterable; the size is known at the end', async () => {
  const inputs: DataInput[] = [
    Readable.from([content]),
    new Blob([content as Uint8Array<ArrayBuffer>]).stream(),
    (async function* () {
      yield content;
    })(),
  ];
  for (const input of inputs) {
    const data = new Data('stream', input);
    expect(data.sizeBytes).toBeUndefined();
    expect((await contentOf(data)).equals(content)).toBe(true);
    expect(data.sizeBytes).toBe(5000);
    expect(await failureOf(contentOf(data))).toMatchObject({ code: 'PAIPAI_ERR_SOURCE_CONSUMED' });
  }
});

test('a file, by path and by URL', async () => {
  const path = join(folder, 'a file, with blanks');
  await writeFile(path, content);
  for (const where of [path, pathToFileURL(path)]) {
    const data = Data.fromFile('file', where, { shardBytes: 512 });
    expect((await contentOf(data)).equals(content)).toBe(true);
    expect([data.sizeBytes, data.shardBytes]).toEqual([5000, 512]);
  }
});

test('SHA-256 of the whole', async () => {
  const expected = createHash('sha256').update(content).digest('hex');
  const data = new Data(1, content);
  expect([await data.sha256(), await data.sha256()]).toEqual([expected, expected]);
});

test('options', () => {
  const data = new Data('d', 10, { shardBytes: 1, records: 'csv', version: 3 });
  expect([data.shardBytes, data.records, data.version]).toEqual([1, 'csv', 3n]);
  expect(new Data('d', 10, { version: 2n ** 64n - 1n }).version).toBe(2n ** 64n - 1n);
});

describe('misuse', () => {
  const fails = (work: () => unknown, code: string) =>
    expect(work).toThrow(expect.objectContaining({ code: `PAIPAI_ERR_${code}` }));
  // What callers without types can pass.
  const loose = Data as unknown as new (...args: unknown[]) => Data;

  test.each([0, new Uint8Array(0), new ArrayBuffer(0)])('no bytes: %o', (nothing) => {
    fails(() => new Data(1, nothing), 'DATA_EMPTY');
  });

  test.each([-1, 1.5, NaN, Infinity, 2 ** 53, 'book.txt', null, undefined, {}, [1, 2], true])(
    'a source that is none: %o',
    (source) => fails(() => new loose(1, source), 'INVALID_ARGUMENT'),
  );

  test.each([-1, 1.5, NaN, 2 ** 53, '', 'x'.repeat(256), '\ud800', null, undefined, {}])(
    'an id that is none: %o',
    (id) => fails(() => new loose(id, 1), 'INVALID_ARGUMENT'),
  );

  test('the longest id', () => {
    expect(new Data('é'.repeat(127), 1).id).toHaveLength(127);
    fails(() => new Data('é'.repeat(128), 1), 'INVALID_ARGUMENT');
  });

  test.each([0, -5, 64 * 1024 * 1024 + 1])('a shard size of %d', (shardBytes) => {
    fails(() => new Data(1, 10, { shardBytes }), 'SHARD_SIZE');
  });

  test.each([
    { shardBytes: '1024' },
    { shardBytes: 1.5 },
    { shardBytes: null },
    { records: 'json' },
    { version: -1 },
    { version: 2n ** 64n },
    { version: '1' },
    { shardbytes: 1024 },
    null,
  ])('options: %o', (options) => fails(() => new loose(1, 10, options), 'INVALID_ARGUMENT'));

  test.each(['', 'a\0b', 7, null, new URL('http://example.com/')])(
    'a path that is none: %o',
    (path) => {
      fails(() => Data.fromFile(1, path as string), 'INVALID_ARGUMENT');
    },
  );
});
