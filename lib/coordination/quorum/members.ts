import { invalidArgument } from '../../base/check.js';
import { PaipaiError } from '../../base/errors.js';
import { type ByteReader, type ByteWriter, MalformedMessage } from '../../wire/byte-cursor.js';
import { crc32c } from '../../wire/crc32c.js';
import { encodeText } from '../../wire/text.js';

/** One disk that votes. A node whose disk was wiped is another member: it must not vote as if it remembered. */
export interface Member {
  readonly nodeId: string;
  /** Drawn when the disk was first written. */
  readonly acceptorId: number;
}

/** Who votes, in one epoch. */
export interface Members {
  readonly epoch: number;
  readonly list: readonly Member[];
}

/**
 * Those who began together, and who has taken their places since. An acceptor belongs to one group for good, so two groups of the same disks never both have
 * a majority.
 */
export interface Group {
  readonly groupId: number;
  /** Who votes. */
  readonly members: Members;
}

export const membersMax = 7;

export function majorityOf({ list }: Members): number {
  return Math.floor(list.length / 2) + 1;
}

/** The same for whoever has heard of the same members, in whatever order. */
export function groupOf(list: readonly Member[]): Group {
  const sorted = [...list].sort((one, other) => (one.nodeId < other.nodeId ? -1 : 1));
  const text = sorted.map(({ nodeId, acceptorId }) => `${acceptorId} ${nodeId}\n`).join('');
  const bytes = encodeText(text);
  // What could be mistaken for each other are draws of 53 bits of the same few nodes.
  const groupId = crc32c(bytes) * 2 ** 21 + ((sorted[0]?.acceptorId ?? 0) % 2 ** 21);
  return { groupId, members: { epoch: 0, list: sorted } };
}

/**
 * The members of the next epoch, or the same when they are those already.
 * @throws PaipaiError PAIPAI_ERR_UNKNOWN_NODE when the old node is no member; PAIPAI_ERR_INVALID_ARGUMENT when the new one is another.
 */
export function withReplaced(members: Members, oldNodeId: string, member: Member): Members {
  const { epoch, list } = members;
  const { nodeId, acceptorId } = member;
  const isMember = (id: string): boolean => list.some((one) => one.nodeId === id);
  const isThere = list.some((one) => one.acceptorId === acceptorId);
  if (isThere && (nodeId === oldNodeId || !isMember(oldNodeId))) return members;
  if (!isMember(oldNodeId)) {
    const names = list.map((one) => one.nodeId).join(', ');
    throw new PaipaiError(
      'PAIPAI_ERR_UNKNOWN_NODE',
      `node ${oldNodeId} is no member of the quorum, which has ${names}`,
      { nodeId: oldNodeId },
    );
  }
  if (nodeId !== oldNodeId && isMember(nodeId)) {
    throw invalidArgument('newNodeId', 'a node that is no member yet', nodeId);
  }
  return { epoch: epoch + 1, list: list.map((one) => (one.nodeId === oldNodeId ? member : one)) };
}

export function writeMembers(writer: ByteWriter, { epoch, list }: Members): ByteWriter {
  writer.integer(epoch).u8(list.length);
  for (const { nodeId, acceptorId } of list) writer.text(nodeId).integer(acceptorId);
  return writer;
}

export function readMembers(reader: ByteReader): Members {
  const epoch = reader.integer();
  const count = reader.u8();
  if (count > membersMax) throw new MalformedMessage(`it names ${count} members`);
  const list = Array.from({ length: count }, () => ({
    nodeId: reader.text(1),
    acceptorId: reader.integer(),
  }));
  return { epoch, list };
}

export function writeGroup(writer: ByteWriter, { groupId, members }: Group): ByteWriter {
  return writeMembers(writer.integer(groupId), members);
}

export function readGroup(reader: ByteReader): Group {
  return { groupId: reader.integer(), members: readMembers(reader) };
}
