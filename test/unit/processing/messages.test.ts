import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeMergeRequest,
  decodeProcessRequest,
  decodeProcessTrailer,
  encodeMergeRequest,
  encodeProcessRequest,
  encodeProcessTrailer,
  type ProcessRequest,
  shardsPerRequestMax,
} from '../../../dist/processing/messages.js';
import { decodePart, encodePart, sortedEntries } from '../../../dist/processing/value-parts.js';
import { encodeValue } from '../../../dist/wire/values.js';

const request: ProcessRequest = {
  dataId: 'd',
  version: 2n ** 64n - 1n,
  nodeId: 'n',
  handler: 'h',
  args: new Uint8Array([1, 2]),
  shards: [0, 7, 2 ** 32 - 1],
  drop: true,
  mapVersion: 2 ** 53 - 1,
  limit: { jobId: 'j', concurrency: 1_024 },
  deadlineMs: 1.5,
};

describe('a request to process', () => {
  test('comes back as it went', () => {
    expect(decodeProcessRequest(encodeProcessRequest(request))).toEqual(request);
    const least = {
      ...request,
      version: 0n,
      args: undefined,
      shards: [],
      drop: false,
      mapVersion: 0,
      limit: undefined,
      deadlineMs: Infinity,
    };
    expect(decodeProcessRequest(encodeProcessRequest(least))).toEqual(least);
  });

  test.each([
    ['no map', encodeValue([1])],
    ['nothing', encodeValue({})],
    ['a number for an id', encodeValue({ ...request, shards: new Uint8Array(4), dataId: 1 })],
    ['an empty id', encodeValue({ ...request, shards: new Uint8Array(4), dataId: '' })],
    ['a list of shards cut short', encodeValue({ ...request, shards: new Uint8Array(5) })],
    [
      'too many shards',
      encodeValue({ ...request, shards: new Uint8Array(4 * shardsPerRequestMax + 4) }),
    ],
    ['a shard twice', encodeValue({ ...request, shards: Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0) })],
    ['falling shards', encodeValue({ ...request, shards: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) })],
    ['a negative version', encodeValue({ ...request, shards: new Uint8Array(4), version: -1n })],
    ['a word for drop', encodeValue({ ...request, shards: new Uint8Array(4), drop: 'no' })],
    ...[0, 1.5, 1_025].map((concurrency): [string, Uint8Array] => [
      `a concurrency of ${concurrency}`,
      encodeValue({ ...request, shards: new Uint8Array(4), jobId: 'j', concurrency }),
    ]),
    [
      'a limit of no job',
      encodeValue({ ...request, shards: new Uint8Array(4), jobId: null, concurrency: 1 }),
    ],
    [
      'a deadline that is no number',
      encodeValue({ ...request, shards: new Uint8Array(4), deadlineMs: NaN }),
    ],
  ])('with %s is refused', (_what, bytes) => {
    expect(() => decodeProcessRequest(bytes)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_PROTOCOL' }),
    );
  });

  test('names shards in rising order, however they were given', () => {
    const { shards } = decodeProcessRequest(
      encodeProcessRequest({ ...request, shards: [9, 0, 3] }),
    );
    expect(shards).toEqual([0, 3, 9]);
  });

  test('of any bytes is refused with a code, never otherwise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => decodeProcessRequest(bytes)).toThrow(
          expect.objectContaining({ code: expect.stringMatching(/^PAIPAI_ERR_(PROTOCOL|VALUE)$/) }),
        );
      }),
    );
  });
});

test('a request to merge and the trailer come back as they went', () => {
  for (const deadlineMs of [1, Infinity]) {
    const merge = { handler: 'h', deadlineMs };
    expect(decodeMergeRequest(encodeMergeRequest(merge))).toEqual(merge);
  }
  const trailer = { timeMs: 0.25, merges: true };
  expect(decodeProcessTrailer(encodeProcessTrailer(trailer))).toEqual(trailer);
});

describe('value parts', () => {
  const entry = (index: number): { index: number; bytes: Uint8Array } => ({
    index,
    bytes: encodeValue(index),
  });

  test('come back as they went, and sort by index over all parts', () => {
    const part = encodePart([entry(4), entry(2)]);
    expect(decodePart(part)).toEqual([entry(4), entry(2)]);
    expect(sortedEntries([part, encodePart([entry(3)]), encodePart([])])).toEqual([
      entry(2),
      entry(3),
      entry(4),
    ]);
  });

  test.each([
    ['no list', encodeValue({})],
    ['no pair', encodeValue([1])],
    ['a negative index', encodeValue([[-1, new Uint8Array(1)]])],
    ['a value that is not encoded', encodeValue([[1, 'text']])],
  ])('with %s are refused', (_what, bytes) => {
    expect(() => decodePart(bytes)).toThrow(expect.objectContaining({ code: 'PAIPAI_ERR_VALUE' }));
  });
});
