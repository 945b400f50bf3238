import { expect, test } from 'vitest';
import { ShardMap } from '../../../../dist/cluster/transfer/shard-map.js';

const cut = (index: number): { index: number; offset: number; bytes: number } => ({
  index,
  offset: index * 10,
  bytes: 10,
});

test('knows who holds a shard, in the order of the confirmations', () => {
  const map = new ShardMap();
  expect(map.add(cut(1), 11, 'b')).toBe(true);
  expect(map.add(cut(0), 10, 'a')).toBe(true);
  expect(map.add(cut(1), 11, 'a')).toBe(true);
  expect(map.add(cut(1), 11, 'a')).toBe(false);
  expect(map.list()).toEqual([
    { ...cut(0), crc32c: 10, holders: ['a'] },
    { ...cut(1), crc32c: 11, holders: ['b', 'a'] },
  ]);
  expect(map.holders()).toEqual(new Set(['a', 'b']));
});

test('knows a shard that nobody holds any more, until it is forgotten', () => {
  const map = new ShardMap();
  map.add(cut(0), 1, 'a');
  map.add(cut(0), 1, 'b');
  map.remove(0, 'a');
  expect(map.list()).toMatchObject([{ holders: ['b'] }]);
  map.remove(0, 'b');
  map.remove(7, 'b');
  expect(map.list()).toEqual([{ ...cut(0), crc32c: 1, holders: [] }]);
  expect(map.extent()).toEqual({ count: 1, totalBytes: 10 });
  map.forget(0);
  expect(map.count).toBe(0);
});

test('keeps of a node what it still holds', () => {
  const map = new ShardMap();
  for (const index of [0, 1, 2]) for (const id of ['a', 'b']) map.add(cut(index), index, id);
  map.retain('a', ({ crc32c }) => crc32c === 1);
  expect(map.list().map(({ holders }) => holders)).toEqual([['b'], ['a', 'b'], ['b']]);
});
