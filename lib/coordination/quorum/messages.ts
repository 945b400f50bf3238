import { ByteReader, ByteWriter, MalformedMessage } from '../../wire/byte-cursor.js';
import { malformed } from '../messages.js';
import { type Ballot, readBallot, writeBallot } from './ballot.js';
import { type Group, readGroup, writeGroup } from './members.js';

/** What an acceptor is asked. All but `describe` are for one disk of one group, and are refused by any other. */
export const acceptorMethod = 'coordinator.accept';

export type Question =
  | { readonly kind: 'describe' }
  | ({ readonly kind: 'read'; readonly ballot: Ballot } & Address)
  | ({ readonly kind: 'prepare'; readonly ballot: Ballot } & Address)
  | ({
      readonly kind: 'accept';
      readonly ballot: Ballot;
      /** Which it promises at once; `noBallot`: none. */
      readonly next: Ballot;
      readonly value: Uint8Array;
    } & Address);

export interface Address {
  /** With the members of the epoch of the ballot. */
  readonly group: Group;
  readonly acceptorId: number;
}

export type Answer =
  /** With the members under whom it has voted last; `group` is undefined before it has ever voted. */
  | { readonly kind: 'described'; readonly acceptorId: number; readonly group: Group | undefined }
  /** To `prepare`, and to `read` without a value when that is of the ballot which the asker knows. */
  | { readonly kind: 'state'; readonly accepted: Ballot; readonly value: Uint8Array | undefined }
  | { readonly kind: 'accepted' }
  /** A higher ballot was promised. */
  | { readonly kind: 'conflict'; readonly promised: Ballot }
  /** To `prepare`: it has accepted nothing in that epoch yet. */
  | { readonly kind: 'behind' }
  /** It is not the one that was asked. */
  | { readonly kind: 'stranger'; readonly acceptorId: number };

const questionKinds = ['describe', 'read', 'prepare', 'accept'] as const;
const answerKinds = ['described', 'state', 'accepted', 'conflict', 'stranger', 'behind'] as const;

/** Of a value, which is a whole table. */
export const tableBytesMax: number = 4 * 1024 * 1024;

export function encodeQuestion(question: Question): Uint8Array {
  const writer = new ByteWriter().u8(questionKinds.indexOf(question.kind));
  if (question.kind === 'describe') return writer.finish();
  writeGroup(writer, question.group).integer(question.acceptorId);
  writeBallot(writer, question.ballot);
  if (question.kind === 'accept') writeBallot(writer, question.next).bytes(question.value);
  return writer.finish();
}

/** The value views `bytes`. @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeQuestion(bytes: Uint8Array): Question {
  return decode(bytes, (reader) => {
    const kind = questionKinds[reader.u8()];
    if (kind === undefined) throw new MalformedMessage('it asks for something unknown');
    if (kind === 'describe') return { kind };
    const address = { group: readGroup(reader), acceptorId: reader.integer() };
    const ballot = readBallot(reader);
    if (kind !== 'accept') return { kind, ...address, ballot };
    return { kind, ...address, ballot, next: readBallot(reader), value: readValue(reader) };
  });
}

export function encodeAnswer(answer: Answer): Uint8Array {
  const writer = new ByteWriter().u8(answerKinds.indexOf(answer.kind));
  switch (answer.kind) {
    case 'described':
      writer.integer(answer.acceptorId).u8(answer.group === undefined ? 0 : 1);
      if (answer.group !== undefined) writeGroup(writer, answer.group);
      break;
    case 'state':
      writeBallot(writer, answer.accepted).u8(answer.value === undefined ? 0 : 1);
      if (answer.value !== undefined) writer.bytes(answer.value);
      break;
    case 'conflict':
      writeBallot(writer, answer.promised);
      break;
    case 'stranger':
      writer.integer(answer.acceptorId);
      break;
    case 'accepted':
    case 'behind':
      break;
  }
  return writer.finish();
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function decodeAnswer(bytes: Uint8Array): Answer {
  return decode(bytes, (reader): Answer => {
    const kind = answerKinds[reader.u8()];
    switch (kind) {
      case 'described': {
        const acceptorId = reader.integer();
        return { kind, acceptorId, group: reader.u8() === 1 ? readGroup(reader) : undefined };
      }
      case 'state': {
        const accepted = readBallot(reader);
        return { kind, accepted, value: reader.u8() === 1 ? readValue(reader) : undefined };
      }
      case 'accepted':
      case 'behind':
        return { kind };
      case 'conflict':
        return { kind, promised: readBallot(reader) };
      case 'stranger':
        return { kind, acceptorId: reader.integer() };
      default:
        throw new MalformedMessage('it answers with something unknown');
    }
  });
}

function readValue(reader: ByteReader): Uint8Array {
  if (reader.bytesLeft > tableBytesMax) {
    throw new MalformedMessage(`it has a table of ${reader.bytesLeft} bytes`);
  }
  return reader.view(reader.bytesLeft);
}

function decode<T>(bytes: Uint8Array, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(bytes);
  try {
    const message = read(reader);
    if (reader.isAtEnd) return message;
    throw new MalformedMessage('bytes follow it');
  } catch (thrown) {
    if (thrown instanceof MalformedMessage) throw malformed(acceptorMethod, thrown.message);
    throw thrown;
  }
}
