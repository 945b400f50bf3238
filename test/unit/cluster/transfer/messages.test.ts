import { expect, test } from 'vitest';
import {
  decodeConfirmation,
  decodeDropRequest,
  decodeGetRequest,
  decodeListRequest,
  decodeShardList,
  encodeConfirmation,
  encodeDropRequest,
  encodeGetRequest,
  encodeListRequest,
  encodeShardList,
} from '../../../../dist/cluster/transfer/messages.js';
import { encodeValue } from '../../../../dist/wire/values.js';

test('messages come back as they went', () => {
  const confirmation = { bytes: 64 * 1024 * 1024, crc32c: 0xffff_ffff };
  expect(decodeConfirmation(encodeConfirmation(confirmation))).toEqual(confirmation);
  const get = { dataId: 'd', version: 7n, index: 0xffff_ffff };
  expect(decodeGetRequest(encodeGetRequest(get))).toEqual(get);
  for (const drop of [
    { dataId: 'd', version: 0n },
    { dataId: 'd', version: 1n, shards: [3, 1] },
    { dataId: 'd', version: 1n, shards: [] },
    { dataId: 'd', version: 1n, mapVersion: 2 ** 53 - 1 },
  ]) {
    expect(decodeDropRequest(encodeDropRequest(drop))).toEqual(drop);
  }
  const list = { dataId: 'd', version: 2n, fromIndex: 5 };
  const claiming = { ...list, mapVersion: 1 };
  expect(decodeListRequest(encodeListRequest(claiming))).toEqual(claiming);
  expect(decodeListRequest(encodeListRequest(list))).toEqual(list);
  const shards = [
    { index: 5, offset: 0, bytes: 1, crc32c: 0xffff_ffff, last: false },
    { index: 9, offset: 2 ** 40, bytes: 64 * 1024 * 1024, crc32c: 0, last: true },
  ];
  expect(decodeShardList(encodeShardList({ shards, more: true }))).toEqual({ shards, more: true });
  const none = { shards: [], more: false };
  expect(decodeShardList(encodeShardList(none))).toEqual(none);
});

function listOf(shard: { bytes?: number; offset?: number }): () => unknown {
  const listed = { index: 0, offset: 0, bytes: 1, crc32c: 0, last: true, ...shard };
  return () => decodeShardList(encodeShardList({ shards: [listed], more: false }));
}

test.each([
  ['a confirmation of 7 bytes', () => decodeConfirmation(new Uint8Array(7))],
  ['a confirmation of 9 bytes', () => decodeConfirmation(new Uint8Array(9))],
  ['a get without an index', () => decodeGetRequest(encodeValue({ dataId: 'd', version: 0n }))],
  [
    'a get beyond 32 bits',
    () => decodeGetRequest(encodeValue({ dataId: 'd', version: 0n, index: 2 ** 32 })),
  ],
  [
    'a drop of an id too long',
    () => decodeDropRequest(encodeValue({ dataId: 'd'.repeat(256), version: 0n })),
  ],
  [
    'a drop of half a number',
    () => decodeDropRequest(encodeValue({ dataId: 'd', version: 0n, shards: new Uint8Array(3) })),
  ],
  ['a list of a shard without a byte', listOf({ bytes: 0 })],
  ['a list of a shard that is too long', listOf({ bytes: 64 * 1024 * 1024 + 1 })],
  ['a list of a shard beyond all data', listOf({ offset: 2 ** 60 })],
  [
    'a list cut short',
    () => decodeShardList(encodeValue({ shards: new Uint8Array(25), more: false })),
  ],
  [
    'a list that goes on with nothing in it',
    () => decodeShardList(encodeShardList({ shards: [], more: true })),
  ],
])('%s is refused', (_what, decode) => {
  expect(decode).toThrow(expect.objectContaining({ code: 'PAIPAI_ERR_PROTOCOL' }));
});
