import { describe, expect, test } from 'vitest';
import {
  dataPerListMax,
  decodeDataList,
  decodeDataListRequest,
  encodeDataList,
  encodeDataListRequest,
} from '../../../../dist/cluster/transfer/data-list.js';
import { listData } from '../../../../dist/cluster/transfer/list-data.js';
import { serveDataList } from '../../../../dist/cluster/transfer/serve-shards.js';
import { comparePositions } from '../../../../dist/store/data-position.js';
import { ShardIndex } from '../../../../dist/store/shard-index.js';
import type { ShardStore, StoredData } from '../../../../dist/store/store.js';
import { encodeValue } from '../../../../dist/wire/values.js';
import { codeOf, codeThrown } from '../../../support/session-pair.js';

const stored = (dataId: string, version = 0n, more: Partial<StoredData> = {}): StoredData => ({
  dataId,
  version,
  shards: 1,
  bytes: 10,
  ...more,
});

/** The link to a node that answers so. */
function linkTo(answer: (request: Uint8Array) => Uint8Array): Parameters<typeof listData>[0] {
  const request = async (_method: string, payload: Uint8Array): Promise<Uint8Array> =>
    answer(payload);
  // All that listing asks of a link.
  return { nodeId: 'n', peer: { state: 'open', request } } as unknown as Parameters<
    typeof listData
  >[0];
}

describe('a list of data', () => {
  test('comes back as it went', () => {
    const data = [
      stored('a'),
      stored('ü'.repeat(127), 2n ** 64n - 1n, { shards: 0xffff_ffff, bytes: 2 ** 53 - 1 }),
    ];
    expect(decodeDataList(encodeDataList({ data, more: true }))).toEqual({ data, more: true });
    const none = { data: [], more: false };
    expect(decodeDataList(encodeDataList(none))).toEqual(none);
    const behind = { dataId: 'a', version: 2n ** 64n - 1n };
    for (const request of [{}, { behind }, { dataId: 'a' }, { dataId: 'a', behind }]) {
      expect(decodeDataListRequest(encodeDataListRequest(request))).toEqual(request);
    }
  });

  test('is read page by page, to the last', async () => {
    const all = Array.from({ length: dataPerListMax + 1 }, (_, at) => stored(`d${at}`, 1n));
    all.push(stored('d5', 0n));
    const index = new ShardIndex();
    const meta = { count: 0, offset: 0, totalBytes: 0, crc32c: 0, last: true };
    for (const { dataId, version, bytes } of all) {
      index.set({ key: { dataId, version, index: 0 }, meta, bytes });
    }
    // All that serving asks of a store.
    const store = index as unknown as ShardStore;
    let pages = 0;
    const link = linkTo((request) => {
      pages++;
      return serveDataList(request, store);
    });
    const listed = await listData(link, 1_000);
    expect(pages).toBe(2);
    const one = await listData(link, 1_000, 'd5');
    expect(one).toEqual([stored('d5', 0n), stored('d5', 1n)]);
    expect(await listData(link, 1_000, 'd')).toEqual([]);
    expect(pages).toBe(4);
    expect(listed).toEqual([...all].sort(comparePositions));
    expect(listed.filter(({ dataId }) => dataId === 'd5').map(({ version }) => version)).toEqual([
      0n,
      1n,
    ]);
  });

  test.each([
    ['out of order', [stored('b'), stored('a')], false],
    ['with the same twice', [stored('a'), stored('a')], false],
    ['that begins anew on each page', [stored('a')], true],
  ])('%s is refused', async (_what, data, more) => {
    const listing = listData(
      linkTo(() => encodeDataList({ data, more })),
      1_000,
    );
    expect(await codeOf(listing)).toBe('PAIPAI_ERR_PROTOCOL');
  });

  test('with other data than were asked for is refused', async () => {
    const link = linkTo(() => encodeDataList({ data: [stored('b')], more: false }));
    expect(await codeOf(listData(link, 1_000, 'a'))).toBe('PAIPAI_ERR_PROTOCOL');
  });

  const packed = (bytes: readonly number[]): Uint8Array =>
    encodeValue({ data: Uint8Array.from(bytes), more: false });
  const fixed = new Array<number>(20).fill(0);
  const all = new Array<number>(8).fill(255);

  test.each([
    ['cut short in the numbers', packed([1, 97, ...fixed.slice(1)])],
    ['cut short in the id', packed([200, 97, ...fixed])],
    ['with an empty id', packed([0, ...fixed])],
    ['with an id that is no UTF-8', packed([1, 0xff, ...fixed])],
    ['with more bytes than a number holds', packed([1, 97, ...fixed.slice(8), ...all])],
    ['that goes on with nothing in it', encodeDataList({ data: [], more: true })],
    ['that is none', encodeValue({ more: false })],
  ])('%s is refused', (_what, message) => {
    expect(codeThrown(() => decodeDataList(message))).toBe('PAIPAI_ERR_PROTOCOL');
  });

  test.each([
    ['with half a position', { behindId: 'a' }],
    ['with an id too long', { dataId: 'a'.repeat(256) }],
    ['with an id too long in its position', { behindId: 'a'.repeat(256), behindVersion: 0n }],
    ['with a version below 0', { behindId: 'a', behindVersion: -1n }],
  ])('a request %s is refused', (_what, request) => {
    expect(codeThrown(() => decodeDataListRequest(encodeValue(request)))).toBe(
      'PAIPAI_ERR_PROTOCOL',
    );
  });
});
