import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as messages from '../../../../dist/processing/map-reduce/messages.js';
import { encodeValue } from '../../../../dist/wire/values.js';

const open: messages.OpenRequest = {
  jobId: 'j',
  dataId: 'd',
  version: 2n ** 64n - 1n,
  nodeId: 'n',
  map: 'm',
  combine: 'c',
  reduce: 'r',
  args: new Uint8Array([1]),
  memoryBytes: 2 ** 30,
};
const map: messages.MapRequest = {
  jobId: 'j',
  taskId: 7,
  partitions: 1_024,
  shards: [3, 0, 2 ** 32 - 1],
};

const decoders = [
  messages.decodeOpenRequest,
  messages.decodeOpenAnswer,
  messages.decodeMapRequest,
  messages.decodeMapAnswer,
  messages.decodeSealRequest,
  messages.decodePartitionRequest,
  messages.decodeReduceTrailer,
  messages.decodeCloseRequest,
];

describe('messages of a MapReduce', () => {
  test('come back as they went', () => {
    for (const request of [open, { ...open, combine: undefined, args: undefined, version: 0n }]) {
      expect(messages.decodeOpenRequest(messages.encodeOpenRequest(request))).toEqual(request);
    }
    expect(messages.decodeMapRequest(messages.encodeMapRequest(map))).toEqual(map);
    const workers = { workers: 3 };
    expect(messages.decodeOpenAnswer(messages.encodeOpenAnswer(workers))).toEqual(workers);
    const answer = { timeMs: 0.5, outputBytes: 2 ** 40, spilledBytes: 0 };
    expect(messages.decodeMapAnswer(messages.encodeMapAnswer(answer))).toEqual(answer);
    const seal = { jobId: 'j', tasks: [] };
    expect(messages.decodeSealRequest(messages.encodeSealRequest(seal))).toEqual(seal);
    const part = { jobId: 'j', partition: 1_023 };
    expect(messages.decodePartitionRequest(messages.encodePartitionRequest(part))).toEqual(part);
    const trailer = { timeMs: 1, inputBytes: 2, keys: 3, spilledBytes: 4 };
    expect(messages.decodeReduceTrailer(messages.encodeReduceTrailer(trailer))).toEqual(trailer);
    expect(messages.decodeCloseRequest(messages.encodeCloseRequest('j'))).toBe('j');
  });

  test.each([
    ['a job without a name', messages.decodeOpenRequest, { ...open, jobId: '' }],
    ['a long name', messages.decodeOpenRequest, { ...open, map: 'm'.repeat(256) }],
    ['long args', messages.decodeOpenRequest, { ...open, args: new Uint8Array(41 * 1024) }],
    ['too little memory', messages.decodeOpenRequest, { ...open, memoryBytes: 1_000 }],
    [
      'no partitions',
      messages.decodeMapRequest,
      { ...map, partitions: 0, shards: new Uint8Array(4) },
    ],
    [
      'too many',
      messages.decodeMapRequest,
      { ...map, partitions: 1_025, shards: new Uint8Array(4) },
    ],
    ['too many shards', messages.decodeMapRequest, { ...map, shards: new Uint8Array(4_100) }],
    ['shards cut short', messages.decodeMapRequest, { ...map, shards: new Uint8Array(5) }],
    ['a high partition', messages.decodePartitionRequest, { jobId: 'j', partition: 1_024 }],
    ['no workers', messages.decodeOpenAnswer, { workers: 0 }],
    ['a negative size', messages.decodeMapAnswer, { timeMs: 1, outputBytes: -1, spilledBytes: 0 }],
  ])('with %s are refused', (_what, decode, value) => {
    expect(() => decode(encodeValue(value))).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_PROTOCOL' }),
    );
  });

  test('of any bytes are refused with a code, never otherwise', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.constantFrom(...decoders),
        (bytes, decode) => {
          expect(() => decode(bytes)).toThrow(
            expect.objectContaining({
              code: expect.stringMatching(/^PAIPAI_ERR_(PROTOCOL|VALUE)$/),
            }),
          );
        },
      ),
    );
  });
});
