import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeNumbers } from '../../../dist/base/codes.js';
import { nativeCrc32c, nativeShardCodec } from '../../../dist/native/codecs.js';
import { loadNative } from '../../../dist/native/load.js';
import { crc32c } from '../../../dist/wire/crc32c.js';
import {
  decodeShardHeader,
  encodeShardHeader,
  type ShardHeader,
} from '../../../dist/wire/shard-header.js';

const native = loadNative();
if (!native.ok) throw new Error(native.reason);
const { binding } = native;
const codec = nativeShardCodec<ShardHeader>(binding);

const golden = new URL('../../contract/golden/', import.meta.url);
const { shardHeaders } = JSON.parse(readFileSync(new URL('golden.json', golden), 'utf8')) as {
  shardHeaders: { file: string }[];
};

const base: ShardHeader = {
  compressed: false,
  encrypted: false,
  last: false,
  checksumFollows: false,
  contentCrc32c: 0xe3069283,
  dataVersion: 1n,
  fencingToken: 0n,
  shardIndex: 0,
  shardCount: 0,
  offset: 0,
  totalBytes: 0,
  shardBytes: 1,
  dataId: 'data',
  sourceId: 'node',
};

const headers: fc.Arbitrary<ShardHeader> = fc
  .record({
    shardBytes: fc.integer({ min: 1, max: 64 * 1024 * 1024 }),
    shardCount: fc.integer({ min: 1, max: 0xffff_ffff }),
    indexShare: fc.double({ min: 0, max: 0.999, noNaN: true }),
    offset: fc.integer({ min: 0, max: 2 ** 52 }),
    after: fc.integer({ min: 0, max: 2 ** 40 }),
    contentCrc32c: fc.nat(0xffff_ffff),
    dataVersion: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fencingToken: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    compressed: fc.boolean(),
    encrypted: fc.boolean(),
    last: fc.boolean(),
    checksumFollows: fc.boolean(),
    dataId: fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }),
    sourceId: fc.string({ minLength: 1, maxLength: 60 }),
    targetId: fc.option(fc.string({ minLength: 1, maxLength: 60 }), { nil: undefined }),
  })
  .map(({ indexShare, after, targetId, ...fields }) => ({
    ...fields,
    contentCrc32c: fields.checksumFollows ? 0 : fields.contentCrc32c,
    shardIndex: Math.floor(indexShare * fields.shardCount),
    totalBytes: fields.offset + fields.shardBytes + after,
    ...(targetId === undefined ? {} : { targetId }),
  }))
  .filter(({ dataId }) => Buffer.byteLength(dataId) <= 255);

describe('the shard header in C++ and in TypeScript', () => {
  test.each(shardHeaders.map(({ file }) => file))('%s reads alike', (file) => {
    const bytes = readFileSync(new URL(file, golden));
    expect(codec.decode(bytes)).toEqual(decodeShardHeader(bytes));
  });

  test('either reads what the other writes, byte for byte the same', () => {
    fc.assert(
      fc.property(headers, (header) => {
        const bytes = codec.encode(header);
        expect(Buffer.from(bytes).equals(encodeShardHeader(header))).toBe(true);
        expect(codec.decode(bytes)).toEqual(header);
        expect(decodeShardHeader(bytes)).toEqual(header);
      }),
    );
  });

  test.each<[string, Partial<ShardHeader>, string]>([
    ['no byte', { shardBytes: 0 }, 'PAIPAI_ERR_SHARD_SIZE'],
    ['a byte above 64 MiB', { shardBytes: 64 * 1024 * 1024 + 1 }, 'PAIPAI_ERR_SHARD_SIZE'],
    ['a count without a total', { shardCount: 1 }, 'PAIPAI_ERR_SHARD_HEADER'],
    [
      'an index beyond the count',
      { shardIndex: 1, shardCount: 1, totalBytes: 1 },
      'PAIPAI_ERR_SHARD_HEADER',
    ],
    [
      'a shard beyond the total',
      { offset: 1, shardCount: 1, totalBytes: 1 },
      'PAIPAI_ERR_SHARD_HEADER',
    ],
    [
      'a checksum that follows and stands there',
      { checksumFollows: true },
      'PAIPAI_ERR_SHARD_HEADER',
    ],
    ['no data id', { dataId: '' }, 'PAIPAI_ERR_SHARD_HEADER'],
    ['a data id of 256 bytes', { dataId: 'd'.repeat(256) }, 'PAIPAI_ERR_SHARD_HEADER'],
  ])('%s is refused by both', (_, change, code) => {
    const header = { ...base, ...change };
    expect(() => codec.encode(header)).toThrow(expect.objectContaining({ code }));
    expect(() => encodeShardHeader(header)).toThrow(expect.objectContaining({ code }));
  });

  test('a flipped bit is found by both', () => {
    const bytes = codec.encode(base);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = new Uint8Array(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => codec.decode(flipped)).toThrow(/shard header/);
      expect(() => decodeShardHeader(flipped)).toThrow(/shard header/);
    }
  });
});

describe('CRC32C', () => {
  test('is the same in both, also of shared memory', () => {
    const sum = nativeCrc32c(binding);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
        const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
        shared.set(bytes);
        expect(sum(bytes)).toBe(crc32c(bytes));
        expect(sum(shared)).toBe(crc32c(bytes));
      }),
    );
  });
});

test('the addon has the same table of error codes', () => {
  const rows = Object.entries(binding.errorCodes()).map(([name, number]) => [
    `PAIPAI_ERR_${name}`,
    number,
  ]);
  expect(rows).toEqual(Object.entries(codeNumbers));
});
