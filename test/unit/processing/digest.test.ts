import fc from 'fast-check';
import { expect, test } from 'vitest';
import { digestHandler, summarizeDigest } from '../../../dist/processing/digest.js';
import { crc32c } from '../../../dist/wire/crc32c.js';

const { process } = digestHandler((bytes) => crc32c(bytes));
const context = {
  dataId: 'd',
  shardIndex: 0,
  nodeId: 'n',
  args: null,
  signal: new AbortController().signal,
};

test('the digest of one shard is that of its bytes', () => {
  const value = process(Buffer.from('123456789'), context);
  expect(summarizeDigest([value])).toEqual({ bytes: 9, shards: 1, checksum: 'e3069283' });
});

test('of nothing it is nothing, with all eight digits', () => {
  expect(summarizeDigest([])).toEqual({ bytes: 0, shards: 0, checksum: '00000000' });
});

test('however data are cut, the checksum is that of the whole', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1 }),
      (shards) => {
        const whole = Buffer.concat(shards);
        const digest = summarizeDigest(shards.map((shard) => process(shard, context)));
        expect(digest.bytes).toBe(whole.byteLength);
        expect(Number.parseInt(digest.checksum, 16)).toBe(crc32c(whole));
      },
    ),
  );
});

test.each([null, 1, [], ['1', 2], [1]])('%o is no part of a digest', (value) => {
  expect(() => summarizeDigest([value])).toThrow(
    expect.objectContaining({ code: 'PAIPAI_ERR_VALUE' }),
  );
});
