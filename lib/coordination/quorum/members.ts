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

/** Those who began together. An acceptor belongs to one group for good, so two groups of the same disks never both have a majority. */
export interface Group {
  readonly groupId: number;
  /** Of epoch 0. */
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
