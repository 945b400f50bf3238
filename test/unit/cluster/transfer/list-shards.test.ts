import { describe, expect, test } from 'vitest';
import { wholeOf } from '../../../../dist/cluster/transfer/list-shards.js';
import type { ListedShard } from '../../../../dist/cluster/transfer/messages.js';

const shard = (index: number, more: Partial<ListedShard> = {}): ListedShard => ({
  index,
  offset: index * 10,
  bytes: 10,
  crc32c: index,
  last: index === 2,
  ...more,
});

describe('what nodes list of data', () => {
  test('is whole when each shard is somewhere', () => {
    const whole = wholeOf([
      ['a', [shard(0), shard(1)]],
      ['b', [shard(1), shard(2)]],
    ]);
    expect(whole).toEqual([
      { shard: shard(0), holders: ['a'] },
      { shard: shard(1), holders: ['a', 'b'] },
      { shard: shard(2), holders: ['b'] },
    ]);
  });

  test.each([
    ['nothing', []],
    ['the first is missing', [shard(1), shard(2)]],
    ['one between is missing', [shard(0), shard(2)]],
    ['the last is missing', [shard(0), shard(1)]],
    ['one goes on behind the last', [shard(0), shard(1, { last: true }), shard(2)]],
    ['there is a gap', [shard(0), shard(1, { bytes: 9 }), shard(2)]],
  ])('is not whole when %s', (_what, shards) => {
    expect(wholeOf([['a', shards]])).toBe(undefined);
  });

  test('is not whole when they do not agree', () => {
    const all = [shard(0), shard(1), shard(2)];
    expect(
      wholeOf([
        ['a', all],
        ['b', [shard(1, { crc32c: 7 })]],
      ]),
    ).toBe(undefined);
  });
});
