import { expect, test } from 'vitest';
import {
  decodeConfirmation,
  decodeDropRequest,
  decodeGetRequest,
  encodeConfirmation,
  encodeDropRequest,
  encodeGetRequest,
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
  ]) {
    expect(decodeDropRequest(encodeDropRequest(drop))).toEqual(drop);
  }
});

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
])('%s is refused', (_what, decode) => {
  expect(decode).toThrow(expect.objectContaining({ code: 'PAIPAI_ERR_PROTOCOL' }));
});
