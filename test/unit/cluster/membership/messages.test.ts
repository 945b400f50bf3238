import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPaipaiError } from '../../../../dist/base/errors.js';
import { DatagramKey } from '../../../../dist/cluster/membership/datagram-key.js';
import {
  decodeFullState,
  decodeMessage,
  encodeFullState,
  encodeMessage,
  encodeMessageHead,
  encodeRumour,
  fullStateBytesMax,
  type Message,
  type MessageKind,
  messageKinds,
} from '../../../../dist/cluster/membership/messages.js';
import { decodeMetadata, encodeMetadata } from '../../../../dist/cluster/membership/metadata.js';
import {
  incarnationMax,
  instanceIdMax,
  type MemberRecord,
  type MemberState,
  metadataBytesMax,
  type Rumour,
} from '../../../../dist/cluster/membership/types.js';

const key = new DatagramKey('net', Buffer.from('secret'));
const noBytes = new Uint8Array(0);

const text = (bytesLeast: number): fc.Arbitrary<string> =>
  fc
    .string({ unit: 'binary', maxLength: 60 })
    .filter((each) => Buffer.byteLength(each) >= bytesLeast && Buffer.byteLength(each) <= 255);
const claim = {
  nodeId: text(1),
  instanceId: fc.integer({ min: 0, max: instanceIdMax }),
  incarnation: fc.integer({ min: 0, max: incarnationMax }),
};
const facts = { address: text(0), metadata: fc.uint8Array({ maxLength: metadataBytesMax }) };
const state = fc.constantFrom<MemberState>('alive', 'suspect', 'dead', 'left');
const record: fc.Arbitrary<MemberRecord> = fc.record({ ...claim, ...facts, state });
const message: fc.Arbitrary<Message> = fc.record({
  // `Object.keys` widens; the table is the whole of them.
  kind: fc.constantFrom(...(Object.keys(messageKinds) as MessageKind[])),
  sequence: fc.nat(0xffff_ffff),
  sender: fc.record(claim),
  digest: fc.nat(0xffff_ffff),
  targetId: text(0),
  targetAddress: text(0),
});

/** What remains of a rumour on its way: only of the living is it said where they are, and only of the others who says so. */
function asCarried(rumour: Rumour): Rumour {
  return rumour.state === 'alive'
    ? { ...rumour, fromId: '' }
    : { ...rumour, address: '', metadata: noBytes };
}

describe('datagrams', () => {
  test('property: what is sealed and encoded comes out as it went in', () => {
    const rumour = fc.record({ ...claim, ...facts, state, fromId: text(0) });
    fc.assert(
      fc.property(message, fc.array(rumour, { maxLength: 8 }), (sent, rumours) => {
        const body = encodeMessage(encodeMessageHead(sent), rumours.map(encodeRumour));
        const opened = key.open(key.seal(messageKinds[sent.kind], body));
        if ('ignored' in opened) throw new Error(opened.ignored);
        const received = decodeMessage(opened.kind, opened.body);
        expect(received).toEqual({ ...sent, rumours: rumours.map(asCarried) });
      }),
    );
  });

  test('property: no bytes make the decoder throw, not even behind a right tag', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 255 }),
        fc.uint8Array({ maxLength: 300 }),
        (kind, body) => {
          key.open(body);
          decodeMessage(kind, body);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('property: a message that is cut, or has bytes left over, is none', () => {
    fc.assert(
      fc.property(message, fc.nat(), (sent, cut) => {
        const body = encodeMessage(encodeMessageHead(sent), []);
        const kind = messageKinds[sent.kind];
        expect(decodeMessage(kind, body.subarray(0, cut % body.byteLength))).toBeUndefined();
        expect(decodeMessage(kind, Buffer.concat([body, Buffer.of(0)]))).toBeUndefined();
      }),
    );
  });

  test('property: one flipped bit anywhere and the datagram is not taken', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(), (body, flip) => {
        const bytes = key.seal(messageKinds.ping, body);
        const bit = flip % (bytes.byteLength * 8);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(key.open(bytes)).toHaveProperty('ignored');
      }),
    );
  });

  test('why a stranger’s datagram is left aside', () => {
    const sealed = (netName: string, secret: string) =>
      new DatagramKey(netName, Buffer.from(secret)).seal(messageKinds.ping, noBytes);
    expect(key.open(sealed('net', 'secret'))).toMatchObject({ kind: messageKinds.ping });
    expect(key.open(sealed('net', 'other'))).toEqual({ ignored: 'key' });
    expect(key.open(sealed('other', 'secret'))).toEqual({ ignored: 'netName' });
    const newer = sealed('net', 'secret');
    newer[2] = 2;
    expect(key.open(newer)).toEqual({ ignored: 'version' });
    expect(key.open(sealed('net', 'secret').subarray(0, 23))).toEqual({ ignored: 'malformed' });
    expect(key.open(Buffer.alloc(100))).toEqual({ ignored: 'malformed' });
  });

  test('65 rumours in one datagram are too many', () => {
    const head = (): ReturnType<typeof encodeMessageHead> =>
      encodeMessageHead({
        kind: 'gossip',
        sequence: 0,
        sender: { nodeId: 'a', instanceId: 0, incarnation: 0 },
        digest: 0,
        targetId: '',
        targetAddress: '',
      });
    const rumour = encodeRumour({
      nodeId: 'b',
      instanceId: 0,
      incarnation: 0,
      state: 'dead',
      address: '',
      metadata: noBytes,
      fromId: '',
    });
    const of = (count: number) =>
      decodeMessage(
        messageKinds.gossip,
        encodeMessage(
          head(),
          Array.from({ length: count }, () => rumour),
        ),
      );
    expect(of(64)?.rumours).toHaveLength(64);
    expect(of(65)).toBeUndefined();
  });
});

describe('the full state', () => {
  test('property: it comes out as it went in, within the bytes announced', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 20 }), (records) => {
        const bytes = encodeFullState(key, records);
        expect(bytes.byteLength).toBeLessThanOrEqual(fullStateBytesMax(records.length));
        expect(decodeFullState(key, bytes, 20)).toEqual(records);
      }),
    );
  });

  test('property: any bytes are read, or refused with a code', () => {
    const head = Buffer.from(encodeFullState(key, []).subarray(0, 5));
    const bytes = fc
      .tuple(fc.boolean(), fc.uint8Array({ maxLength: 200 }))
      .map(([isOurs, rest]) => (isOurs ? Buffer.concat([head, rest]) : Buffer.from(rest)));
    fc.assert(
      fc.property(bytes, (given) => {
        try {
          decodeFullState(key, given, 100);
        } catch (error) {
          expect(isPaipaiError(error)).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('one record more than there may be, another net and another version are refused', () => {
    const one: MemberRecord = {
      nodeId: 'a',
      instanceId: 1,
      incarnation: 1,
      state: 'alive',
      address: '',
      metadata: noBytes,
    };
    const bytes = encodeFullState(key, [one, one, one]);
    const code = (of: string) => expect.objectContaining({ code: of });
    expect(decodeFullState(key, bytes, 3)).toHaveLength(3);
    expect(() => decodeFullState(key, bytes, 2)).toThrow(code('PAIPAI_ERR_PROTOCOL'));
    const other = new DatagramKey('other', Buffer.from('secret'));
    expect(() => decodeFullState(other, bytes, 3)).toThrow(code('PAIPAI_ERR_NET_NAME'));
    bytes[0] = 9;
    expect(() => decodeFullState(key, bytes, 3)).toThrow(code('PAIPAI_ERR_VERSION_MISMATCH'));
  });
});

describe('metadata', () => {
  const load = { inFlight: 3, latencyMs: 1.5, cpu: 0.25, storedBytes: 2 ** 40 };
  const coordinates = false;

  test('come out as they went in, with the longest address below the limit', () => {
    const given = {
      transportAddress: `tcp://${'h'.repeat(212)}`,
      weight: 2.5,
      coordinates: true,
      load,
    };
    const bytes = encodeMetadata(given);
    expect(bytes.byteLength).toBeLessThanOrEqual(metadataBytesMax);
    expect(decodeMetadata(bytes)).toEqual(given);
  });

  test('out of range: refused here, and not believed of others', () => {
    const bad = [
      { transportAddress: 'x'.repeat(219), weight: 1, coordinates, load },
      { transportAddress: '', weight: 0, coordinates, load },
      { transportAddress: '', weight: 1, coordinates, load: { ...load, cpu: 1.1 } },
      { transportAddress: '', weight: 1, coordinates, load: { ...load, latencyMs: Number.NaN } },
      { transportAddress: '', weight: 1, coordinates, load: { ...load, inFlight: -1 } },
    ];
    for (const each of bad) {
      expect(() => encodeMetadata(each)).toThrow(
        expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
      );
    }
    const bytes = encodeMetadata({ transportAddress: '', weight: 1, coordinates, load });
    new DataView(bytes.buffer).setFloat64(1, -1, true);
    expect(decodeMetadata(bytes)).toBeUndefined();
  });

  test('property: any bytes are metadata or undefined', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        decodeMetadata(Uint8Array.of(1, ...bytes));
        decodeMetadata(bytes);
      }),
    );
  });
});
