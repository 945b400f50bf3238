import { PaipaiError } from '../../base/errors.js';
import { parseAddress } from '../../transport/address.js';
import { ByteReader, ByteWriter, MalformedMessage } from '../../wire/byte-cursor.js';
import { decodeMetadata, type NodeLoadFigures, readLoad, writeLoad } from './metadata.js';
import { isLiving } from './precedence.js';
import type { MemberRecord, MemberState } from './types.js';

/** A node of a net, for those who are not concerned with how it is known. */
export interface NetMember {
  readonly nodeId: string;
  readonly state: MemberState;
  /** Where its transport is reached, `tcp://host:port`; empty when it has said that in no way that this release reads. */
  readonly address: string;
  /** Share of the data that it should hold, relative to the others; above 0. */
  readonly weight: number;
  /** Tells a node that was restarted from the one before: 0 to 2^48 - 1. */
  readonly instanceId: number;
  /** Whether it says that it serves the coordinator of the net. */
  readonly coordinates: boolean;
  /** As it has said some seconds ago. */
  readonly load: NodeLoadFigures;
}

/** Of a node that has said nothing of its load. */
export const noLoad: NodeLoadFigures = { inFlight: 0, latencyMs: 0, cpu: 0, storedBytes: 0 };

export function memberOf({ nodeId, state, instanceId, metadata }: MemberRecord): NetMember {
  const said = decodeMetadata(metadata);
  const address = tcpAddressOr(said?.transportAddress ?? '');
  const { weight = 1, load = noLoad, coordinates = false } = said ?? {};
  return { nodeId, state, instanceId, address, weight, coordinates, load };
}

/** It answers, or may do so again: `alive` or `suspect`. */
export function isLivingMember({ state }: NetMember): boolean {
  return isLiving(state);
}

/** Request that asks any member who is in the net; the answer is a list of members. */
export const memberListMethod = 'member.list';

/**
 * The same for whoever wants to hear of changes: the payload is the revision that the caller knows, 0 for none, and the answer comes as
 * soon as the member has another one, or after `watchMsMax`.
 */
export const memberWatchMethod = 'member.watch';

/** How long a member keeps a watch waiting at most, in milliseconds: short, because one that stands still is noticed by its silence. */
export const watchMsMax = 2_000;

/** What a member knew at one moment. */
export interface MemberView {
  /** Grows with each change that the member hears of, from 1; of use to nobody but the member that gave it. */
  readonly revision: number;
  /** Undefined when it is the revision that was asked with. */
  readonly members: readonly NetMember[] | undefined;
}

const listVersion = 1;
/** Above the largest `memberCountMax`, and the node that answers. */
const listCountMax = 65_537;
/** No encoded member is shorter: state, id of one byte, instance, weight, load, no address. */
const memberBytesLeast = 46;

const states: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left'];
/** Beside the state: the member serves the coordinator. */
const coordinatesFlag = 0x80;

/** `| revision u48 |`. */
export function encodeRevision(revision: number): Uint8Array {
  return new ByteWriter().u48(revision).finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeRevision(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes);
  return wellFormed(memberWatchMethod, () => {
    const revision = reader.u48();
    if (!reader.isAtEnd) throw new MalformedMessage('bytes are left over');
    return revision;
  });
}

/** `| revision u48 | list as of encodeMemberList, unless it is known |`. */
export function encodeMemberView({ revision, members }: MemberView): Uint8Array {
  const writer = new ByteWriter().u48(revision);
  return (members === undefined ? writer : writeMembers(writer, members)).finish();
}

/** @throws PaipaiError as `decodeMemberList`. */
export function decodeMemberView(bytes: Uint8Array): MemberView {
  const reader = new ByteReader(bytes);
  return wellFormed(memberWatchMethod, () => {
    const revision = reader.u48();
    return { revision, members: reader.isAtEnd ? undefined : readMembers(reader) };
  });
}

/** `| version u8 | count u32 | members: state u8, id, instance u48, weight f64, load, address |`, texts behind their length (u8). */
export function encodeMemberList(members: readonly NetMember[]): Uint8Array {
  return writeMembers(new ByteWriter(), members).finish();
}

/** @throws PaipaiError PAIPAI_ERR_VERSION_MISMATCH, or PAIPAI_ERR_PROTOCOL when a field is out of its bounds. */
export function decodeMemberList(bytes: Uint8Array): NetMember[] {
  return wellFormed(memberListMethod, () => readMembers(new ByteReader(bytes)));
}

function writeMembers(writer: ByteWriter, members: readonly NetMember[]): ByteWriter {
  writer.u8(listVersion).u32(members.length);
  for (const { nodeId, state, instanceId, weight, coordinates, load, address } of members) {
    const flags = coordinates ? coordinatesFlag : 0;
    writer
      .u8(states.indexOf(state) | flags)
      .text(nodeId)
      .u48(instanceId)
      .f64(weight);
    writeLoad(writer, load).text(address);
  }
  return writer;
}

/** To the end of the message. */
function readMembers(reader: ByteReader): NetMember[] {
  const version = reader.u8();
  if (version !== listVersion) {
    throw new PaipaiError(
      'PAIPAI_ERR_VERSION_MISMATCH',
      `the peer sends lists of members of version ${version}, and this side reads ${listVersion}`,
    );
  }
  const count = reader.u32();
  if (count > listCountMax || count * memberBytesLeast > reader.bytesLeft) {
    throw new MalformedMessage('too many members');
  }
  const members: NetMember[] = [];
  for (let i = 0; i < count; i++) members.push(readMember(reader));
  if (!reader.isAtEnd) throw new MalformedMessage('bytes are left over');
  return members;
}

function wellFormed<T>(method: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    throw new PaipaiError(
      'PAIPAI_ERR_PROTOCOL',
      `a message of ${method} is malformed: ${error.message}`,
    );
  }
}

function readMember(reader: ByteReader): NetMember {
  const first = reader.u8();
  const state = states[first & ~coordinatesFlag];
  const coordinates = (first & coordinatesFlag) !== 0;
  if (state === undefined) throw new MalformedMessage('there is no such state');
  const nodeId = reader.text(1);
  const instanceId = reader.u48();
  const weight = reader.f64();
  if (!(weight > 0 && weight < Infinity)) throw new MalformedMessage('a weight is out of range');
  const load = readLoad(reader);
  if (load === undefined) throw new MalformedMessage('a figure of load is out of range');
  const address = tcpAddressOr(reader.text(0));
  return { nodeId, state, instanceId, weight, coordinates, load, address };
}

/** Anything else is nothing to connect to, and no reason to drop the member. */
function tcpAddressOr(text: string): string {
  try {
    return parseAddress(text).scheme === 'tcp' ? text : '';
  } catch {
    return '';
  }
}
