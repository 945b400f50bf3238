import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32c } from '../../../dist/wire/crc32c.js';
import {
  FrameType,
  frameBytesMaxDefault,
  frameHeaderBytes,
  writeFrameHeader,
} from '../../../dist/wire/frame.js';
import { FrameDecoder, lentPayloadBytesMax } from '../../../dist/wire/frame-decoder.js';

interface Sent {
  type: number;
  name: number;
  streamId: number;
  argument: number;
  payload: Uint8Array;
}

function encode(frames: readonly Sent[], firstSequence = 0): Uint8Array {
  return Buffer.concat(
    frames.flatMap(({ type, name, streamId, argument, payload }, i) => {
      const header = new Uint8Array(frameHeaderBytes);
      const sequence = (firstSequence + i) >>> 0;
      const sum = crc32c(payload);
      writeFrameHeader(header, 0, type, 0, name, streamId, sequence, argument, payload.length, sum);
      return [header, payload];
    }),
  );
}

function counting(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i + (i >> 8));
}

function frameOf(payload: Uint8Array, more: Partial<Sent> = {}): Sent {
  return { type: FrameType.message, name: 1, streamId: 0, argument: 0, payload, ...more };
}

type Event =
  | { kind: 'frame'; owned: boolean; frame: Sent }
  | { kind: 'sink'; streamId: number; landedBytes: number; crc32c: number };

/** A decoder and what it said; payloads are copied, since they are lent. */
function listen(frameBytesMax = frameBytesMaxDefault, firstSequence = 0) {
  const events: Event[] = [];
  const decoder = new FrameDecoder(
    {
      onFrame({ type, name, streamId, argument, bytes, start, end, owned }) {
        const payload = new Uint8Array(bytes.subarray(start, end));
        events.push({ kind: 'frame', owned, frame: { type, name, streamId, argument, payload } });
      },
      onSink(streamId, landedBytes, sum) {
        events.push({ kind: 'sink', streamId, landedBytes, crc32c: sum });
      },
    },
    frameBytesMax,
    firstSequence,
  );
  const frames = (): Sent[] => events.flatMap((e) => (e.kind === 'frame' ? [e.frame] : []));
  return { decoder, events, frames };
}

/** As `toEqual`, which takes seconds over so many bytes. */
function expectFrames(found: readonly Sent[], sent: readonly Sent[]): void {
  const heads = (frames: readonly Sent[]): unknown[] =>
    frames.map(({ payload, ...head }) => ({ ...head, payloadBytes: payload.length }));
  expect(heads(found)).toEqual(heads(sent));
  for (const [i, { payload }] of found.entries()) {
    expect(Buffer.compare(payload, sent[i]!.payload)).toBe(0);
  }
}

/** Writes fields of a header anew, with a header checksum that fits. */
function forge(fields: {
  version?: number;
  type?: number;
  length?: number;
  sequence?: number;
}): Uint8Array {
  const bytes = Buffer.from(encode([frameOf(new Uint8Array(0))]));
  if (fields.version !== undefined) bytes[2] = fields.version;
  if (fields.type !== undefined) bytes[3] = fields.type;
  if (fields.length !== undefined) bytes.writeUInt32LE(fields.length, 8);
  if (fields.sequence !== undefined) bytes.writeUInt32LE(fields.sequence, 16);
  bytes.writeUInt32LE(crc32c(bytes, 0, 28), 28);
  return bytes;
}

describe('frames come out', () => {
  test('one frame, as it was sent', () => {
    const { decoder, frames } = listen();
    const sent = frameOf(Buffer.from('hello'), {
      type: FrameType.request,
      streamId: 7,
      argument: 5000,
    });
    expect(decoder.push(encode([sent]))).toBeNull();
    expect(frames()).toEqual([{ ...sent, payload: new Uint8Array(Buffer.from('hello')) }]);
    expect(decoder.end()).toBeNull();
  });

  test.each([0, 1, lentPayloadBytesMax - 1, lentPayloadBytesMax, lentPayloadBytesMax + 1, 262_144])(
    'a payload of %i bytes, lent or in memory of its own',
    (length) => {
      const { decoder, events, frames } = listen();
      const sent = frameOf(counting(length));
      expect(decoder.push(encode([sent]))).toBeNull();
      expectFrames(frames(), [sent]);
      expect(events).toMatchObject([{ kind: 'frame', owned: length > lentPayloadBytesMax }]);
    },
  );

  test('memory of its own stays as it is when more arrives', () => {
    const kept: Uint8Array[] = [];
    const decoder = new FrameDecoder(
      {
        onFrame: ({ bytes, start, end, owned }) => {
          expect(owned).toBe(true);
          expect([start, end, bytes.buffer.byteLength]).toEqual([0, bytes.length, bytes.length]);
          kept.push(bytes);
        },
        onSink: () => {},
      },
      frameBytesMaxDefault,
    );
    decoder.push(
      encode([frameOf(new Uint8Array(20_000).fill(1)), frameOf(new Uint8Array(20_000).fill(2))]),
    );
    expect(kept.map((bytes) => bytes.every((b) => b === bytes[0]))).toEqual([true, true]);
    expect(kept.map((bytes) => bytes[0])).toEqual([1, 2]);
  });

  test('any cut of the bytes gives the same frames', () => {
    const frameArbitrary = fc.record({
      type: fc.integer({ min: 1, max: 17 }),
      name: fc.nat(0xffff),
      streamId: fc.nat(0xffff_ffff),
      argument: fc.nat(0xffff_ffff),
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 80 }),
        fc.integer({ min: 16_000, max: 40_000 }).map(counting),
      ),
    });
    fc.assert(
      fc.property(
        fc.array(frameArbitrary, { maxLength: 8 }),
        fc.array(fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 30_000 })), {
          minLength: 1,
        }),
        (sent, cuts) => {
          const bytes = encode(sent);
          const { decoder, frames } = listen();
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const next = at + cuts[i % cuts.length]!;
            // What was pushed may change afterwards, so nothing may still point there.
            const piece = new Uint8Array(bytes.subarray(at, next));
            expect(decoder.push(piece)).toBeNull();
            piece.fill(0xee);
            at = next;
          }
          expect(decoder.end()).toBeNull();
          expectFrames(frames(), sent);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('the sequence number wraps', () => {
    const { decoder, frames } = listen(frameBytesMaxDefault, 0xffff_ffff);
    const sent = [frameOf(counting(1)), frameOf(counting(2)), frameOf(counting(3))];
    expect(decoder.push(encode(sent, 0xffff_ffff))).toBeNull();
    expect(frames()).toEqual(sent);
  });
});

describe('bad bytes are refused', () => {
  test.each([
    ['a flipped magic', Buffer.from('XP'.padEnd(32)), 'PAIPAI_ERR_FRAME_MAGIC'],
    ['an HTTP answer', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'PAIPAI_ERR_FRAME_MAGIC'],
    ['two bytes of something else', Buffer.from('HT'), 'PAIPAI_ERR_FRAME_MAGIC'],
    ['another version', forge({ version: 2 }), 'PAIPAI_ERR_FRAME_VERSION'],
    ['type 0', forge({ type: 0 }), 'PAIPAI_ERR_FRAME_TYPE'],
    ['type 23', forge({ type: 23 }), 'PAIPAI_ERR_FRAME_TYPE'],
    ['a length of 4 GiB', forge({ length: 0xffff_ffff }), 'PAIPAI_ERR_FRAME_TOO_LARGE'],
    [
      'a length above the limit',
      forge({ length: frameBytesMaxDefault + 1 }),
      'PAIPAI_ERR_FRAME_TOO_LARGE',
    ],
    ['a repeated frame', Buffer.concat([forge({}), forge({})]), 'PAIPAI_ERR_FRAME_SEQUENCE'],
    ['a missing frame', forge({ sequence: 1 }), 'PAIPAI_ERR_FRAME_SEQUENCE'],
  ])('%s', (_, bytes, code) => {
    const whole = listen();
    expect(whole.decoder.push(bytes)).toMatchObject({ code });
    const inPieces = listen();
    const errors = [...bytes].map((byte) => inPieces.decoder.push(Uint8Array.of(byte)));
    expect(errors.find((error) => error !== null)).toMatchObject({ code });
  });

  test('what comes first in the order of checks is what is said', () => {
    const all = forge({ version: 9, type: 99, length: 0xffff_ffff, sequence: 5 });
    expect(listen().decoder.push(all)).toMatchObject({ code: 'PAIPAI_ERR_FRAME_VERSION' });
    const later = forge({ type: 99, length: 0xffff_ffff, sequence: 5 });
    expect(listen().decoder.push(later)).toMatchObject({ code: 'PAIPAI_ERR_FRAME_TYPE' });
    const last = forge({ length: 0xffff_ffff, sequence: 5 });
    expect(listen().decoder.push(last)).toMatchObject({ code: 'PAIPAI_ERR_FRAME_TOO_LARGE' });
  });

  test('nothing comes out after a bad frame', () => {
    const { decoder, frames } = listen();
    const good = encode([frameOf(counting(4))]);
    expect(decoder.push(Buffer.concat([good, forge({ sequence: 9 }), good]))).not.toBeNull();
    decoder.push(encode([frameOf(counting(4))], 1));
    expect(frames()).toHaveLength(1);
    expect(decoder.end()).toBeNull();
  });

  test('the limit is exact', () => {
    expect(listen(1024).decoder.push(encode([frameOf(counting(1024))]))).toBeNull();
    expect(listen(1024).decoder.push(encode([frameOf(counting(1025))]))).toMatchObject({
      code: 'PAIPAI_ERR_FRAME_TOO_LARGE',
    });
  });

  test('an end inside a frame is told apart from an end between frames', () => {
    const bytes = encode([frameOf(counting(40))]);
    for (let length = 0; length <= bytes.length; length++) {
      const { decoder } = listen();
      expect(decoder.push(bytes.subarray(0, length))).toBeNull();
      if (length === 0 || length === bytes.length) expect(decoder.end()).toBeNull();
      else expect(decoder.end()).toMatchObject({ code: 'PAIPAI_ERR_FRAME_TRUNCATED' });
    }
  });

  test('100,000 flipped bits are all detected', () => {
    const sent = [frameOf(counting(60)), frameOf(new Uint8Array(0)), frameOf(counting(90))];
    const bytes = encode(sent);
    const bits = bytes.length * 8;
    let undetected = 0;
    // Not a divisor of the bit count, so that the positions spread over all of them.
    for (let flip = 0, bit = 0; flip < 100_000; flip++, bit = (bit + 797) % bits) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      let framesLike = 0;
      const decoder = new FrameDecoder(
        { onFrame: () => void framesLike++, onSink: () => {} },
        frameBytesMaxDefault,
      );
      const error = decoder.push(bytes) ?? decoder.end();
      if (error === null || framesLike === sent.length) undetected++;
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(undetected).toBe(0);
  });

  test('a handler that stops the decoder hears nothing more', () => {
    let count = 0;
    const decoder: FrameDecoder = new FrameDecoder(
      {
        onFrame: () => {
          count++;
          decoder.stop();
        },
        onSink: () => {},
      },
      frameBytesMaxDefault,
    );
    expect(decoder.push(encode([frameOf(counting(1)), frameOf(counting(1))]))).toBeNull();
    expect(count).toBe(1);
  });
});

describe('sinks', () => {
  const data = (streamId: number, payload: Uint8Array): Sent =>
    frameOf(payload, { type: FrameType.streamData, name: 0, streamId });

  test('payloads land one behind the other and are summed up', () => {
    const whole = counting(100_000);
    const target = new Uint8Array(100_000);
    const { decoder, events } = listen();
    decoder.setSink(3, target);
    const bytes = encode([data(3, whole.subarray(0, 60_000)), data(3, whole.subarray(60_000))]);
    expect(decoder.push(bytes)).toBeNull();
    expect(Buffer.compare(target, whole)).toBe(0);
    expect(events).toEqual([
      { kind: 'sink', streamId: 3, landedBytes: 100_000, crc32c: crc32c(whole) },
    ]);
  });

  test('any cut lands the same, and a later frame of the stream is told after the bytes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), (cut) => {
        const whole = counting(5000);
        const target = new Uint8Array(5000);
        const { decoder, events } = listen();
        decoder.setSink(3, target);
        const end = frameOf(new Uint8Array(0), { type: FrameType.streamEnd, streamId: 3, name: 0 });
        const bytes = encode([data(3, whole.subarray(0, 1)), data(3, whole.subarray(1)), end]);
        for (let at = 0; at < bytes.length; at += cut) {
          expect(decoder.push(bytes.subarray(at, at + cut))).toBeNull();
        }
        expect(Buffer.compare(target, whole)).toBe(0);
        expect(events.at(-1)).toMatchObject({
          kind: 'frame',
          frame: { type: FrameType.streamEnd },
        });
        const sum = crc32c(whole);
        expect(events.at(-2)).toEqual({
          kind: 'sink',
          streamId: 3,
          landedBytes: 5000,
          crc32c: sum,
        });
      }),
      { numRuns: 60 },
    );
  });

  test('streams do not mix', () => {
    const targets = [new Uint8Array(8), new Uint8Array(8)] as const;
    const { decoder, events } = listen();
    decoder.setSink(1, targets[0]);
    decoder.setSink(3, targets[1]);
    decoder.push(
      encode([
        data(1, counting(4)),
        data(3, counting(8)),
        data(1, counting(4)),
        data(5, counting(2)),
      ]),
    );
    expect([...targets[0]]).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
    expect([...targets[1]]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(
      events.map((e) => (e.kind === 'sink' ? [e.streamId, e.landedBytes] : e.frame.streamId)),
    ).toEqual([5, [1, 8], [3, 8]]);
  });

  test('a full sink is full: one byte more ends the connection', () => {
    const { decoder } = listen();
    decoder.setSink(1, new Uint8Array(8));
    expect(decoder.push(encode([data(1, counting(8))]))).toBeNull();
    expect(decoder.push(encode([data(1, counting(1))], 1))).toMatchObject({
      code: 'PAIPAI_ERR_SINK_OVERFLOW',
    });
  });

  test('bytes that fail their checksum are not counted', () => {
    const { decoder, events } = listen();
    decoder.setSink(1, new Uint8Array(16));
    const bytes = encode([data(1, counting(8)), data(1, counting(8))]);
    bytes[bytes.length - 1]! ^= 1;
    expect(decoder.push(bytes)).toMatchObject({ code: 'PAIPAI_ERR_FRAME_PAYLOAD_CHECKSUM' });
    expect(events).toEqual([
      { kind: 'sink', streamId: 1, landedBytes: 8, crc32c: crc32c(counting(8)) },
    ]);
  });

  test('a sink that is cleared in the middle of a payload gets nothing more, and the connection goes on', () => {
    const { decoder, frames } = listen();
    const target = new Uint8Array(100);
    decoder.setSink(1, target);
    const bytes = encode([data(1, counting(100).fill(7)), frameOf(counting(3))]);
    decoder.push(bytes.subarray(0, 60));
    decoder.clearSink(1);
    expect(decoder.push(bytes.subarray(60))).toBeNull();
    expect(target.subarray(28).every((byte) => byte === 0)).toBe(true);
    expect(frames()).toEqual([frameOf(counting(3))]);
  });

  test('a frame that breaks a rule of stream data is for the session to judge', () => {
    const { decoder, frames } = listen();
    decoder.setSink(1, new Uint8Array(8));
    decoder.push(encode([data(1, new Uint8Array(0))]));
    expect(frames()).toHaveLength(1);
  });
});
