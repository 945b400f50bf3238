import type { ByteReader, ByteWriter } from '../../wire/byte-cursor.js';

/**
 * The right to propose one value. They are ordered; no two proposals have the same one, because each process has a proposer of its own, which draws
 * every ballot once. What was agreed on under one set of members stands before all that is under the next.
 */
export interface Ballot {
  /** Of the members: grows with each change of them. */
  readonly epoch: number;
  readonly round: number;
  readonly proposer: number;
}

/** Before all others: nothing was proposed. */
export const noBallot: Ballot = { epoch: 0, round: 0, proposer: 0 };

/**
 * Of what an epoch begins with, before all others of it. Nobody draws it, and whoever proposes under it proposes the same: the last value of the epoch before.
 */
export function firstBallot(epoch: number): Ballot {
  return { ...noBallot, epoch };
}

/** Below 0 when `one` is before `other`, 0 when they are the same. */
export function compareBallots(one: Ballot, other: Ballot): number {
  return one.epoch - other.epoch || one.round - other.round || one.proposer - other.proposer;
}

export function isSameBallot(one: Ballot, other: Ballot): boolean {
  return compareBallots(one, other) === 0;
}

export function writeBallot(writer: ByteWriter, { epoch, round, proposer }: Ballot): ByteWriter {
  return writer.integer(epoch).integer(round).integer(proposer);
}

export function readBallot(reader: ByteReader): Ballot {
  return { epoch: reader.integer(), round: reader.integer(), proposer: reader.integer() };
}
