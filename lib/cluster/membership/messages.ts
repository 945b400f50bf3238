import { PaipaiError } from '../../base/errors.js';
import { ByteReader, ByteWriter, MalformedMessage } from '../../wire/byte-cursor.js';
import { type DatagramKey, membershipVersion } from './datagram-key.js';
import {
  type Claim,
  type MemberRecord,
  type MemberState,
  metadataBytesMax,
  type Rumour,
  textBytesMax,
} from './types.js';

/**
 * The body of a datagram, inside the envelope of `DatagramKey`. Texts stand behind their length (u8), all numbers are little-endian.
 *
 *     | sequence u32 | sender: id, instance u48, incarnation u32 | digest u32 | target id | target address | rumour count u8 | rumours |
 *
 * `ping` names whom it is meant for, `pingRequest` whom to ping and where; for the others both texts are empty. An `ack` and a
 * `nack` repeat the sequence number of what they answer. `refusal` is a nack of a helper to whom the target's host said that the
 * port is closed. `gossip` carries rumours only.
 */
export const messageKinds = {
  ping: 1,
  ack: 2,
  pingRequest: 3,
  nack: 4,
  refusal: 5,
  gossip: 6,
} as const;

export type MessageKind = keyof typeof messageKinds;

const kindsByNumber = new Map(
  // `Object.entries` widens keys to string; the table above is the whole of them.
  (Object.entries(messageKinds) as [MessageKind, number][]).map(([kind, number]) => [number, kind]),
);

export interface Message {
  readonly kind: MessageKind;
  /** 0 to 2^32 - 1. */
  readonly sequence: number;
  readonly sender: Claim;
  /** What the sender knows, in 32 bits: equal digests mean, but for one case in 2^32, equal tables of living members. */
  readonly digest: number;
  readonly targetId: string;
  readonly targetAddress: string;
}

export interface ReceivedMessage extends Message {
  readonly rumours: readonly Rumour[];
}

export const rumoursPerDatagramMax = 64;

const stateNumbers: { readonly [state in MemberState]: number } = {
  alive: 1,
  suspect: 2,
  dead: 3,
  left: 4,
};
const statesByNumber: readonly (MemberState | undefined)[] = [
  undefined,
  'alive',
  'suspect',
  'dead',
  'left',
];

const noBytes = new Uint8Array(0);

/** The bytes of a body without rumours but with their count; `encodeMessage` adds those that fit. */
export function encodeMessageHead(message: Message): ByteWriter {
  const { sequence, sender, digest, targetId, targetAddress } = message;
  const writer = new ByteWriter().u32(sequence);
  writeClaim(writer, sender);
  return writer.u32(digest).text(targetId).text(targetAddress);
}

export function encodeMessage(head: ByteWriter, rumours: readonly Uint8Array[]): Uint8Array {
  head.u8(rumours.length);
  for (const rumour of rumours) head.bytes(rumour);
  return head.finish();
}

/** The message, or undefined when anything in it is out of its bounds or left over. */
export function decodeMessage(kindNumber: number, body: Uint8Array): ReceivedMessage | undefined {
  const kind = kindsByNumber.get(kindNumber);
  if (kind === undefined) return undefined;
  return unlessMalformed(() => {
    const reader = new ByteReader(body);
    const sequence = reader.u32();
    const sender = readClaim(reader);
    const digest = reader.u32();
    const targetId = reader.text(0);
    const targetAddress = reader.text(0);
    const rumourCount = reader.u8();
    if (rumourCount > rumoursPerDatagramMax) throw new MalformedMessage('too many rumours');
    const rumours: Rumour[] = [];
    for (let i = 0; i < rumourCount; i++) rumours.push(readRumour(reader));
    if (!reader.isAtEnd) throw new MalformedMessage('bytes are left over');
    return { kind, sequence, sender, digest, targetId, targetAddress, rumours };
  });
}

/**
 *     | state u8 | id | instance u48 | incarnation u32 | alive: address, metadata length u16, metadata
 *                                                      | else:  id of the accuser, may be empty
 */
export function encodeRumour(rumour: Rumour): Uint8Array {
  const writer = new ByteWriter().u8(stateNumbers[rumour.state]);
  writeClaim(writer, rumour);
  if (rumour.state === 'alive') writeFacts(writer, rumour);
  else writer.text(rumour.fromId);
  return writer.finish();
}

function readRumour(reader: ByteReader): Rumour {
  const state = readState(reader);
  const claim = readClaim(reader);
  if (state === 'alive') return { state, ...claim, ...readFacts(reader), fromId: '' };
  return { state, ...claim, address: '', metadata: noBytes, fromId: reader.text(0) };
}

/** No encoded record of a full state is shorter: state, id of one byte, instance, incarnation, two empty fields. */
const recordBytesLeast = 16;
const fullStateHeadBytes = 9;

/** Bytes of the longest full state with `recordCount` records; a limit for the request that carries it. */
export function fullStateBytesMax(recordCount: number): number {
  const recordBytes = 1 + (1 + textBytesMax) + 10 + (1 + textBytesMax) + 2 + metadataBytesMax;
  return fullStateHeadBytes + recordCount * recordBytes;
}

/**
 *     | version u8 | net name hash, 4 B | count u32 | records: state u8, id, instance, incarnation, address, metadata |
 *
 * No tag of its own: it travels over a connection that has proved the secret.
 */
export function encodeFullState(key: DatagramKey, records: readonly MemberRecord[]): Uint8Array {
  const writer = new ByteWriter().u8(membershipVersion).bytes(key.netHash).u32(records.length);
  for (const record of records) {
    writer.u8(stateNumbers[record.state]);
    writeClaim(writer, record);
    writeFacts(writer, record);
  }
  return writer.finish();
}

/**
 * @throws PaipaiError PAIPAI_ERR_VERSION_MISMATCH, PAIPAI_ERR_NET_NAME, or PAIPAI_ERR_PROTOCOL when it is malformed or has more than
 * `recordCountMax` records.
 */
export function decodeFullState(
  key: DatagramKey,
  bytes: Uint8Array,
  recordCountMax: number,
): MemberRecord[] {
  if (bytes.byteLength < fullStateHeadBytes) throw badFullState('it is cut short');
  if (bytes.byteLength > fullStateBytesMax(recordCountMax)) throw badFullState('it is too long');
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version !== membershipVersion) {
    throw new PaipaiError(
      'PAIPAI_ERR_VERSION_MISMATCH',
      `the peer speaks version ${version} of the membership protocol, and this side ${membershipVersion}`,
    );
  }
  const netHash = reader.bytes(key.netHash.byteLength);
  if (key.netHash.some((byte, at) => netHash[at] !== byte)) {
    throw new PaipaiError('PAIPAI_ERR_NET_NAME', 'the peer is a member of a net of another name');
  }
  const records = unlessMalformed(() => readRecords(reader, recordCountMax));
  if (records === undefined) throw badFullState('a field is out of its bounds');
  return records;
}

function readRecords(reader: ByteReader, countMax: number): MemberRecord[] {
  const count = reader.u32();
  if (count > countMax || count * recordBytesLeast > reader.bytesLeft) {
    throw new MalformedMessage('too many records');
  }
  const records: MemberRecord[] = [];
  for (let i = 0; i < count; i++) {
    const state = readState(reader);
    records.push({ state, ...readClaim(reader), ...readFacts(reader) });
  }
  if (!reader.isAtEnd) throw new MalformedMessage('bytes are left over');
  return records;
}

function badFullState(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `the full state of the peer is malformed: ${why}`);
}

function writeClaim(writer: ByteWriter, { nodeId, instanceId, incarnation }: Claim): void {
  writer.text(nodeId).u48(instanceId).u32(incarnation);
}

function readClaim(reader: ByteReader): Claim {
  return { nodeId: reader.text(1), instanceId: reader.u48(), incarnation: reader.u32() };
}

function writeFacts(writer: ByteWriter, { address, metadata }: Facts): void {
  writer.text(address).u16(metadata.byteLength).bytes(metadata);
}

type Facts = Pick<MemberRecord, 'address' | 'metadata'>;

function readFacts(reader: ByteReader): Facts {
  const address = reader.text(0);
  const metadataBytes = reader.u16();
  if (metadataBytes > metadataBytesMax) throw new MalformedMessage('the metadata are too long');
  return { address, metadata: reader.bytes(metadataBytes) };
}

function readState(reader: ByteReader): MemberState {
  const state = statesByNumber[reader.u8()];
  if (state === undefined) throw new MalformedMessage('there is no such state');
  return state;
}

function unlessMalformed<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined;
    throw error;
  }
}
