import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32c } from '../../../dist/wire/crc32c.js';
import {
  decodeShardHeader,
  encodeShardHeader,
  type ShardHeader,
  shardBytesMax,
} from '../../../dist/wire/shard-header.js';

const header: ShardHeader = {
  compressed: false,
  encrypted: false,
  last: false,
  checksumFollows: false,
  contentCrc32c: 0xdead_beef,
  dataVersion: 1n,
  fencingToken: 2n,
  shardIndex: 0,
  shardCount: 3,
  offset: 0,
  totalBytes: 150_000,
  shardBytes: 65_536,
  dataId: 'zip codes',
  sourceId: '1',
};

const refusal = (code: string): unknown => expect.objectContaining({ code });

/** Changes bytes and makes the checksum fit again. */
function forge(at: number, ...values: number[]): Uint8Array {
  const bytes = Buffer.from(encodeShardHeader(header));
  bytes.set(values, at);
  bytes.writeUInt32LE(0, 56);
  bytes.writeUInt32LE(crc32c(bytes), 56);
  return bytes;
}

describe('shard header', () => {
  test('comes back as it was, in a multiple of 8 bytes', () => {
    const bytes = encodeShardHeader(header);
    expect(bytes.length).toBe(80);
    expect(decodeShardHeader(bytes)).toEqual(header);
  });

  test('any header that keeps the rules comes back', () => {
    const id = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' });
    fc.assert(
      fc.property(
        fc.record({
          compressed: fc.boolean(),
          encrypted: fc.boolean(),
          last: fc.boolean(),
          checksumFollows: fc.boolean(),
          contentCrc32c: fc.nat(0xffff_ffff),
          dataVersion: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          fencingToken: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          shardIndex: fc.nat(1000),
          offset: fc.nat(2 ** 40),
          shardBytes: fc.integer({ min: 1, max: shardBytesMax }),
          dataId: id,
          sourceId: id,
        }),
        fc.option(id, { nil: undefined }),
        fc.boolean(),
        (fields, targetId, isKnown) => {
          const known = isKnown || fields.last;
          const made: ShardHeader = {
            ...fields,
            contentCrc32c: fields.checksumFollows ? 0 : fields.contentCrc32c,
            shardCount: known ? fields.shardIndex + 1 : 0,
            totalBytes: known ? fields.offset + fields.shardBytes : 0,
            ...(targetId === undefined ? {} : { targetId }),
          };
          expect(decodeShardHeader(encodeShardHeader(made))).toEqual(made);
        },
      ),
    );
  });

  test.each([
    [0, false],
    [1, true],
    [shardBytesMax, true],
    [shardBytesMax + 1, false],
    [Number.NaN, false],
  ])('a shard of %d bytes: %s', (shardBytes, passes) => {
    const made = { ...header, shardBytes, totalBytes: 2 ** 30 };
    if (passes) expect(decodeShardHeader(encodeShardHeader(made))).toEqual(made);
    else expect(() => encodeShardHeader(made)).toThrowError(refusal('PAIPAI_ERR_SHARD_SIZE'));
  });

  test.each<[string, Partial<ShardHeader>]>([
    ['an index at the count', { shardIndex: 3 }],
    ['bytes beyond the total', { offset: 150_000 - 65_535 }],
    ['a count without a total', { totalBytes: 0 }],
    ['a total without a count', { shardCount: 0 }],
    ['a last shard that does not know the count', { shardCount: 0, totalBytes: 0, last: true }],
    ['an offset beyond 2^53', { offset: 2 ** 53, totalBytes: 2 ** 54 }],
    ['an empty data id', { dataId: '' }],
    ['a source id of 256 bytes', { sourceId: 's'.repeat(256) }],
    ['an empty target id', { targetId: '' }],
  ])('%s is not encoded', (_, change) => {
    expect(() => encodeShardHeader({ ...header, ...change })).toThrowError(
      refusal('PAIPAI_ERR_SHARD_HEADER'),
    );
  });

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['63 bytes', encodeShardHeader(header).subarray(0, 63)],
    ['a missing padding', encodeShardHeader(header).subarray(0, 79)],
    ['a byte too many', Buffer.concat([encodeShardHeader(header), Buffer.of(0)])],
    ['another layout', forge(0, 2)],
    ['an unknown flag', forge(2, 8)],
    ['a reserved byte', forge(55, 1)],
    ['a reserved word', forge(60, 1)],
    ['padding that is not 0', forge(79, 1)],
    ['an id that is not UTF-8', forge(64, 0xff)],
    ['an index beyond the count', forge(24, 3)],
    ['a total beyond 2^53', forge(40, 0, 0, 0, 0, 0, 0, 0, 1)],
  ])('%s is not decoded', (_, bytes) => {
    expect(() => decodeShardHeader(bytes)).toThrowError(refusal('PAIPAI_ERR_SHARD_HEADER'));
  });

  test('a size of 64 MiB and a byte is not decoded', () => {
    expect(() => decodeShardHeader(forge(48, 1, 0, 0, 4))).toThrowError(
      refusal('PAIPAI_ERR_SHARD_SIZE'),
    );
  });

  test('a flipped bit anywhere is noticed', () => {
    const bytes = encodeShardHeader(header);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeShardHeader(bytes)).toThrowError();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  });
});
