import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { codeNumbers } from '../../dist/base/codes.js';
import {
  createPlacement,
  type PlacementNode,
  type PlacementStrategy,
} from '../../dist/cluster/placement/placement.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import { decodeError } from '../../dist/wire/error-payload.js';
import { frameBytesMaxDefault, frameHeaderBytes, writeFrameHeader } from '../../dist/wire/frame.js';
import { FrameDecoder } from '../../dist/wire/frame-decoder.js';
import { decodeHello, encodeHello } from '../../dist/wire/hello.js';
import {
  decodeShardHeader,
  encodeShardHeader,
  type ShardHeader,
} from '../../dist/wire/shard-header.js';

// The .bin files were written by the C++ encoders, and golden.json says what went in.
// placement.json says where data lay when it was written: another release must not look for them elsewhere.

interface GoldenFrame {
  file: string;
  type: number;
  flags: number;
  name: number;
  streamId: number;
  sequence: number;
  argument: number;
  payloadBytes: number;
  payloadCrc32c: number;
  headerCrc32c: number;
  payloadHex: string;
}

interface GoldenShardHeader {
  file: string;
  flags: number;
  contentCrc32c: number;
  dataVersion: string;
  fencingToken: string;
  shardIndex: number;
  shardCount: number;
  offsetBytes: string;
  totalBytes: string;
  shardBytes: number;
  dataId: string;
  sourceId: string;
  targetId: string;
}

const folder = new URL('./golden/', import.meta.url);
const fileBytes = (file: string): Buffer => readFileSync(new URL(file, folder));
const golden = JSON.parse(fileBytes('golden.json').toString()) as {
  connection: GoldenFrame[];
  extreme: GoldenFrame;
  shardHeaders: GoldenShardHeader[];
};

type DecodedFields = Omit<GoldenFrame, 'file' | 'sequence' | 'payloadCrc32c' | 'headerCrc32c'>;

function decodeAll(bytes: Uint8Array, firstSequence: number): DecodedFields[] {
  const frames: DecodedFields[] = [];
  const decoder = new FrameDecoder(
    {
      onFrame({ type, flags, name, streamId, argument, bytes: from, start, end }) {
        const payloadHex = Buffer.from(from.subarray(start, end)).toString('hex');
        frames.push({
          type,
          flags,
          name,
          streamId,
          argument,
          payloadBytes: end - start,
          payloadHex,
        });
      },
      onSink: () => {},
    },
    frameBytesMaxDefault,
    firstSequence,
  );
  expect(decoder.push(bytes) ?? decoder.end()).toBeNull();
  return frames;
}

function fieldsOf(frame: GoldenFrame): DecodedFields {
  const { type, flags, name, streamId, argument, payloadBytes, payloadHex } = frame;
  return { type, flags, name, streamId, argument, payloadBytes, payloadHex };
}

describe('golden frames', () => {
  const all = [...golden.connection, golden.extreme];

  test('there is one of each type', () => {
    const types = golden.connection.map(({ type }) => type);
    expect(types).toEqual(Array.from({ length: 19 }, (_, i) => i + 1));
  });

  test.each(all)('$file decodes', (frame) => {
    expect(decodeAll(fileBytes(frame.file), frame.sequence)).toEqual([fieldsOf(frame)]);
  });

  test.each(all)(
    '$file is encoded byte for byte',
    ({ file, type, flags, name, streamId, sequence, argument, payloadHex }) => {
      const payload = Buffer.from(payloadHex, 'hex');
      const header = new Uint8Array(frameHeaderBytes);
      const sum = crc32c(payload);
      writeFrameHeader(
        header,
        0,
        type,
        flags,
        name,
        streamId,
        sequence,
        argument,
        payload.length,
        sum,
      );
      expect(Buffer.concat([header, payload])).toEqual(fileBytes(file));
    },
  );

  test('all of them behind each other are one connection', () => {
    const bytes = Buffer.concat(golden.connection.map(({ file }) => fileBytes(file)));
    expect(decodeAll(bytes, 0)).toEqual(golden.connection.map(fieldsOf));
  });
});

describe('golden payloads', () => {
  const payloadOf = (file: string): Buffer => fileBytes(file).subarray(frameHeaderBytes);

  test('the hello', () => {
    const hello = decodeHello(payloadOf('01-hello.bin'));
    expect(hello).toMatchObject({
      versionMin: 1,
      versionMax: 1,
      features: 1,
      netName: 'net',
      nodeId: '1',
    });
    expect(Buffer.from(encodeHello(hello))).toEqual(payloadOf('01-hello.bin'));
  });

  test('the error', () => {
    const number = codeNumbers.PAIPAI_ERR_METHOD_UNKNOWN;
    expect(decodeError(number, payloadOf('07-error.bin'))).toMatchObject({
      code: 'PAIPAI_ERR_METHOD_UNKNOWN',
      message: 'no',
    });
  });
});

describe('golden shard headers', () => {
  test.each(golden.shardHeaders)('$file decodes, and is encoded byte for byte', (expected) => {
    const header: ShardHeader = {
      compressed: (expected.flags & 1) !== 0,
      encrypted: (expected.flags & 2) !== 0,
      last: (expected.flags & 4) !== 0,
      checksumFollows: (expected.flags & 8) !== 0,
      contentCrc32c: expected.contentCrc32c,
      dataVersion: BigInt(expected.dataVersion),
      fencingToken: BigInt(expected.fencingToken),
      shardIndex: expected.shardIndex,
      shardCount: expected.shardCount,
      offset: Number(expected.offsetBytes),
      totalBytes: Number(expected.totalBytes),
      shardBytes: expected.shardBytes,
      dataId: expected.dataId,
      sourceId: expected.sourceId,
      ...(expected.targetId === '' ? {} : { targetId: expected.targetId }),
    };
    expect(decodeShardHeader(fileBytes(expected.file))).toEqual(header);
    expect(Buffer.from(encodeShardHeader(header))).toEqual(fileBytes(expected.file));
  });
});

interface GoldenPlacement {
  strategy: PlacementStrategy;
  copies: number;
  /** Of the shards, over and over. */
  bytes: number[];
  totalBytes?: number;
  nodes: PlacementNode[];
  /** Of the shard `golden/i`, the positions in `nodes`. */
  placed: number[][];
}

describe('golden placements', () => {
  const { placements } = JSON.parse(fileBytes('placement.json').toString()) as {
    placements: GoldenPlacement[];
  };

  test.each(placements)(
    '$strategy of $copies copies, a total of $totalBytes bytes',
    ({ strategy, copies, bytes, totalBytes, nodes, placed }) => {
      for (const order of [nodes, nodes.toReversed()]) {
        const placement = createPlacement(strategy, order, totalBytes);
        for (const [index, expected] of placed.entries()) {
          const size = bytes[index % bytes.length] ?? 0;
          const ids = placement.placeCopies(`golden/${index}`, size, copies);
          expect(ids.map((id) => nodes.findIndex((node) => node.id === id))).toEqual(expected);
        }
      }
    },
  );
});
