import { PaipaiError } from '../../base/errors.js';
import { parseAddress } from '../../transport/address.js';
import { ByteReader, ByteWriter, MalformedMessage } from './byte-cursor.js';
import { decodeMetadata } from './metadata.js';
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
}

export function memberOf({ nodeId, state, instanceId, metadata }: MemberRecord): NetMember {
  const said = decodeMetadata(metadata);
  const address = tcpAddressOr(said?.transportAddress ?? '');
  return { nodeId, state, instanceId, address, weight: said?.weight ?? 1 };
}

/** It answers, or may do so again: `alive` or `suspect`. */
export function isLivingMember({ state }: NetMember): boolean {
  return isLiving(state);
}

/** Answer to `member.list`, which asks any member who is in the net. */
export const memberListMethod = 'member.list';

const listVersion = 1;
/** Above the largest `memberCountMax`, and the node that answers. */
const listCountMax = 65_537;
/** No encoded member is shorter: state, id of one byte, instance, weight, no address. */
const memberBytesLeast = 18;

const states: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left'];

/** `| version u8 | count u32 | members: state u8, id, instance u48, weight f64, address |`, texts behind their length (u8). */
export function encodeMemberList(members: readonly NetMember[]): Uint8Array {
  const writer = new ByteWriter().u8(listVersion).u32(members.length);
  for (const { nodeId, state, instanceId, weight, address } of members) {
    writer.u8(states.indexOf(state)).text(nodeId).u48(instanceId).f64(weight).text(address);
  }
  return writer.finish();
}

/** @throws PaipaiError PAIPAI_ERR_VERSION_MISMATCH, or PAIPAI_ERR_PROTOCOL when a field is out of its bounds. */
export function decodeMemberList(bytes: Uint8Array): NetMember[] {
  const reader = new ByteReader(bytes);
  try {
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
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    throw new PaipaiError(
      'PAIPAI_ERR_PROTOCOL',
      `the answer to ${memberListMethod} is malformed: ${error.message}`,
    );
  }
}

function readMember(reader: ByteReader): NetMember {
  const state = states[reader.u8()];
  if (state === undefined) throw new MalformedMessage('there is no such state');
  const nodeId = reader.text(1);
  const instanceId = reader.u48();
  const weight = reader.f64();
  if (!(weight > 0 && weight < Infinity)) throw new MalformedMessage('a weight is out of range');
  return { nodeId, state, instanceId, weight, address: tcpAddressOr(reader.text(0)) };
}

/** Anything else is nothing to connect to, and no reason to drop the member. */
function tcpAddressOr(text: string): string {
  try {
    return parseAddress(text).scheme === 'tcp' ? text : '';
  } catch {
    return '';
  }
}
