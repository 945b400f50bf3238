import type { Random } from '../../base/env.js';
import { PaipaiError } from '../../base/errors.js';
import { ByteReader, ByteWriter, MalformedMessage } from '../../wire/byte-cursor.js';
import { drawLeaseId } from '../lease-id.js';
import {
  type Ballot,
  compareBallots,
  isSameBallot,
  noBallot,
  readBallot,
  writeBallot,
} from './ballot.js';
import { type Group, readGroup, writeGroup } from './members.js';
import {
  type Address,
  type Answer,
  decodeQuestion,
  encodeAnswer,
  type Question,
} from './messages.js';

/** What an acceptor remembers, whatever happens to its process: one piece of bytes, replaced whole. */
export interface AcceptorDisk {
  /** Undefined when nothing was ever written. */
  read(): Promise<Uint8Array | undefined>;
  /** Settles when the bytes will be there after a crash. When it rejects they may be, or those before them. */
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export interface Memory {
  readonly acceptorId: number;
  /** With the members of the epoch in which it has voted last; undefined before the first vote. */
  readonly group: Group | undefined;
  /** Nothing below it is accepted any more. */
  readonly promised: Ballot;
  /** Of the value; `noBallot` without one. */
  readonly accepted: Ballot;
  readonly value: Uint8Array;
}

/**
 * One vote of a quorum: it promises not to accept older proposals, and accepts those that are not. Nobody hears of either before it is on disk, so it
 * never votes against what it has said, and without its disk it is another one.
 */
export class Acceptor {
  readonly #disk: AcceptorDisk;
  readonly #onAccepted: () => void;
  #memory: Memory;
  /** Settles with the last answer; never rejects. */
  #answers: Promise<unknown> = Promise.resolve();
  /** Why it votes no more: it is not known what its disk holds. */
  #failure: PaipaiError | undefined;

  private constructor(disk: AcceptorDisk, memory: Memory, onAccepted: () => void) {
    this.#disk = disk;
    this.#memory = memory;
    this.#onAccepted = onAccepted;
  }

  /**
   * Takes the disk over.
   * @param onAccepted whenever there is another value
   * Fails: PAIPAI_ERR_STORE_FAILED, also when what lies there came to harm.
   */
  static async open(random: Random, disk: AcceptorDisk, onAccepted: () => void): Promise<Acceptor> {
    const bytes = await disk.read();
    if (bytes !== undefined) return new Acceptor(disk, decodeMemory(bytes), onAccepted);
    const fresh: Memory = {
      acceptorId: drawLeaseId(random),
      group: undefined,
      promised: noBallot,
      accepted: noBallot,
      value: new Uint8Array(0),
    };
    // Whoever hears its name finds it again under that.
    await disk.write(encodeMemory(fresh));
    return new Acceptor(disk, fresh, onAccepted);
  }

  /** The ballot and value accepted last, which need not be agreed on. */
  get latest(): { readonly accepted: Ballot; readonly value: Uint8Array } {
    return this.#memory;
  }

  /** One question after the other. Fails: PAIPAI_ERR_PROTOCOL, _STORE_FULL, _STORE_FAILED. */
  answer(bytes: Uint8Array): Promise<Uint8Array> {
    const answering = this.#answers.then(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      return encodeAnswer(await this.#answer(decodeQuestion(bytes)));
    });
    this.#answers = answering.catch(() => {}); // Whoever asked hears of it.
    return answering;
  }

  async close(): Promise<void> {
    await this.#answers;
    await this.#disk.close();
  }

  async #answer(question: Question): Promise<Answer> {
    const { acceptorId, group, promised, accepted, value } = this.#memory;
    if (question.kind === 'describe') return { kind: 'described', acceptorId, group };
    if (!this.#isMeant(question)) return { kind: 'stranger', acceptorId };
    const { ballot } = question;
    if (question.kind === 'read') {
      const isKnown = isSameBallot(ballot, accepted);
      return { kind: 'state', accepted, value: isKnown ? undefined : value };
    }
    // Asked twice, it has done so already.
    if (question.kind === 'accept' && isSameBallot(ballot, accepted)) return { kind: 'accepted' };
    if (compareBallots(ballot, promised) < 0) return { kind: 'conflict', promised };
    if (question.kind === 'prepare') {
      // In an epoch that begins it counts when it has what that begins with, not before.
      if (ballot.epoch > accepted.epoch) return { kind: 'behind' };
      await this.#keep({ ...this.#memory, group: question.group, promised: ballot });
      return { kind: 'state', accepted, value };
    }
    const { next } = question;
    await this.#keep({
      acceptorId,
      group: question.group,
      promised: compareBallots(next, ballot) > 0 ? next : ballot,
      accepted: ballot,
      value: Uint8Array.from(question.value),
    });
    this.#onAccepted();
    return { kind: 'accepted' };
  }

  #isMeant({ acceptorId, group }: Address): boolean {
    const own = this.#memory;
    if (acceptorId !== own.acceptorId) return false;
    return own.group === undefined || own.group.groupId === group.groupId;
  }

  async #keep(memory: Memory): Promise<void> {
    try {
      await this.#disk.write(encodeMemory(memory));
    } catch (thrown) {
      if (thrown instanceof PaipaiError && thrown.code === 'PAIPAI_ERR_STORE_FULL') throw thrown;
      this.#failure = new PaipaiError(
        'PAIPAI_ERR_STORE_FAILED',
        'it is not known what this member of the quorum has on disk, so it votes no more: start its node anew',
        { cause: thrown },
      );
      throw this.#failure;
    }
    this.#memory = memory;
  }
}

function encodeMemory({ acceptorId, group, promised, accepted, value }: Memory): Uint8Array {
  const writer = new ByteWriter().integer(acceptorId).u8(group === undefined ? 0 : 1);
  if (group !== undefined) writeGroup(writer, group);
  return writeBallot(writeBallot(writer, promised), accepted).bytes(value).finish();
}

/** @throws PaipaiError PAIPAI_ERR_STORE_FAILED. */
export function decodeMemory(bytes: Uint8Array): Memory {
  try {
    const reader = new ByteReader(bytes);
    const acceptorId = reader.integer();
    const group = reader.u8() === 1 ? readGroup(reader) : undefined;
    const [promised, accepted] = [readBallot(reader), readBallot(reader)];
    return { acceptorId, group, promised, accepted, value: reader.bytes(reader.bytesLeft) };
  } catch (thrown) {
    if (!(thrown instanceof MalformedMessage)) throw thrown;
    throw new PaipaiError(
      'PAIPAI_ERR_STORE_FAILED',
      'what a member of the quorum has kept came to harm',
    );
  }
}
