import type { Env } from '../../base/env.js';
import { PaipaiError, toError } from '../../base/errors.js';
import { type Ballot, compareBallots, isSameBallot, noBallot } from './ballot.js';
import { type Group, groupOf, type Member, type Members, majorityOf } from './members.js';
import { type Answer, decodeAnswer, encodeQuestion, type Question } from './messages.js';
import { Table } from './table.js';

/** Asks the acceptor of a node, itself included. What it rejects with counts as no answer. */
export type AskAcceptor = (
  nodeId: string,
  question: Uint8Array,
  deadlineMs: number,
) => Promise<Uint8Array>;

export interface RegisterOptions {
  readonly env: Pick<Env, 'clock' | 'timers' | 'random'>;
  /** All who begin together, this node included: an odd number of 1 to 7. */
  readonly nodeIds: readonly string[];
  /** A number that no other proposer of the group has, nor had. */
  readonly proposer: number;
  readonly ask: AskAcceptor;
  /** What the group begins with. */
  readonly firstVersion: () => number;
}

/** A change that some have heard of and too few have confirmed: it is made, now or later, or never. */
export class OutcomeUnknown extends Error {}

/** Too few answer: nothing was done. */
export class NoMajority extends Error {}

interface Known {
  readonly table: Table;
  /** Under which it was agreed on. */
  readonly accepted: Ballot;
  /** Which most have promised to this proposer; undefined: none. */
  readonly next: Ballot | undefined;
}

/** For one question to one acceptor. */
const answerMsMax = 1_000;
const backoffMsMax = 50;
const triesMax = 20;

/**
 * One value that a majority of members agrees on, by CASPaxos: each change takes the value agreed on last and proposes another in its place. A proposer
 * whose ballot most have promised needs one round of questions for a change, and one without a write for a look. What too few have confirmed is looked for before anything else is
 * proposed, so no change is made twice.
 * Callers come one after the other.
 */
export class Register {
  readonly #options: RegisterOptions;
  #group: Group | undefined;
  /** Who votes, as far as is known here. */
  #members: Members | undefined;
  #known: Known | undefined;
  /** The highest ballot that was heard of. */
  #highest: Ballot = noBallot;

  constructor(options: RegisterOptions) {
    this.#options = options;
  }

  /** The latest value agreed on that this proposer has seen. */
  get latest(): Table | undefined {
    return this.#known?.table;
  }

  /** The value at a moment within this call. Fails: NoMajority. */
  async read(): Promise<Table> {
    for (let tries = 0; tries < triesMax; tries++) {
      const table = await this.#look();
      if (table !== undefined) return table;
      await this.#takeOver(tries);
    }
    throw new NoMajority('others came in between again and again');
  }

  /**
   * `change` may be called several times; what it gives back the last time is agreed on when this settles. When it gives back what it got, or throws,
   * nothing is proposed, and that was the value at a moment within this call.
   * Fails: NoMajority, OutcomeUnknown, and as `change`.
   */
  async update(change: (table: Table) => Table): Promise<Table> {
    for (let tries = 0; tries < triesMax; tries++) {
      if (this.#known?.next === undefined) await this.#takeOver(tries);
      const known = this.#known;
      if (known?.next === undefined) continue;
      const outcome = attempt(change, known.table);
      if (outcome instanceof Table && outcome !== known.table) {
        const proposal = outcome.under(known.next);
        if (await this.#propose(known.next, proposal)) return proposal;
        if (await this.#wasMade(known.next)) return proposal;
      } else if ((await this.#look()) === known.table) {
        if (outcome instanceof Table) return outcome;
        throw outcome.thrown;
      }
    }
    throw new NoMajority('others came in between again and again');
  }

  /** The value that a majority has accepted; undefined when they differ, as in the middle of a change. */
  async #look(): Promise<Table | undefined> {
    const members = this.#members ?? (await this.#findGroup());
    const known = this.#known;
    const ballot = known?.accepted ?? noBallot;
    const answers = await this.#askAll(
      members,
      (address) => ({ kind: 'read', ...address, ballot }),
      (answers) => agreedOn(answers, members) !== undefined,
    );
    const agreed = agreedOn(answers, members);
    if (agreed === undefined) {
      const states = answers.filter(({ kind }) => kind === 'state').length;
      if (states < majorityOf(members)) throw new NoMajority(noMajority(members, answers));
      // Nothing more is proposed here before it is known what of it counts.
      this.#known = undefined;
      return undefined;
    }
    if (known !== undefined && isSameBallot(agreed.accepted, known.accepted)) return known.table;
    this.#heardOf(agreed.accepted);
    if (agreed.value === undefined || agreed.value.byteLength === 0) return undefined;
    const table = Table.decode(agreed.value);
    this.#known = { table, accepted: agreed.accepted, next: undefined };
    if (table.members.epoch === members.epoch) return table;
    // Those may have gone on by now.
    this.#members = table.members;
    return undefined;
  }

  /** Takes the right to propose, and brings to its end what others have begun. */
  async #takeOver(tries: number): Promise<void> {
    if (tries > 0) await this.#backOff(tries);
    this.#known = undefined;
    const members = this.#members ?? (await this.#findGroup());
    const ballot = this.#nextBallot(members.epoch);
    const answers = await this.#askAll(
      members,
      (address) => ({ kind: 'prepare', ...address, ballot }),
      majority(members, 'state'),
    );
    const states = answers.filter((one) => one.kind === 'state');
    if (states.length < majorityOf(members)) {
      if (!this.#noteConflicts(answers)) throw new NoMajority(noMajority(members, answers));
      if (this.#highest.epoch > members.epoch) await this.#findMembers(members);
      return;
    }
    const [latest] = states.sort((one, other) => compareBallots(other.accepted, one.accepted));
    const { value = new Uint8Array(0) } = latest as (typeof states)[number]; // A majority is one at least.
    const table =
      value.byteLength === 0
        ? new Table({ members, version: this.#options.firstVersion() })
        : Table.decode(value);
    // Agreed on or not before, it is now. Its members are those under whom the next proposal is made.
    await this.#propose(ballot, table);
  }

  /**
   * Whether a proposal that too few have confirmed was made all the same, by somebody who found it. When a later value without it is agreed on, it
   * never will be.
   * Fails: OutcomeUnknown.
   */
  async #wasMade(ballot: Ballot): Promise<boolean> {
    try {
      for (let tries = 1; tries < triesMax; tries++) {
        await this.#takeOver(tries);
        const wasMade = this.#known?.table.descendsFrom(ballot);
        if (wasMade !== undefined) return wasMade;
      }
    } catch (thrown) {
      if (!(thrown instanceof NoMajority)) throw thrown;
    }
    throw new OutcomeUnknown('too few members have confirmed it, or answer now');
  }

  /** Whether a majority has accepted. If not, it may still be agreed on later. */
  async #propose(ballot: Ballot, table: Table): Promise<boolean> {
    const members = this.#members as Members; // Under which the ballot was prepared.
    const next = { ...ballot, round: ballot.round + 1 };
    const value = table.encode();
    this.#known = undefined;
    const isStaying = table.members.epoch === members.epoch;
    const answers = await this.#askAll(
      members,
      (address) => ({
        kind: 'accept',
        ...address,
        ballot,
        next: isStaying ? next : noBallot,
        value,
      }),
      majority(members, 'accepted'),
    );
    if (majority(members, 'accepted')(answers)) {
      this.#heardOf(next);
      this.#members = table.members;
      this.#known = { table, accepted: ballot, next: isStaying ? next : undefined };
      return true;
    }
    this.#noteConflicts(answers);
    return false;
  }

  /** Answers until they are enough, or all that come in time; those of the slowest no longer than it takes to see that they will not be. */
  async #askAll(
    members: Members,
    question: (address: { group: Group; acceptorId: number }) => Question,
    isEnough: (answers: readonly Answer[]) => boolean,
  ): Promise<readonly Answer[]> {
    const group = this.#group as Group; // Members are known by then.
    const { ask } = this.#options;
    const answers: Answer[] = [];
    await new Promise<void>((resolve) => {
      let left = members.list.length;
      const settle = (): void => {
        left--;
        if (left === 0 || isEnough(answers)) resolve();
      };
      for (const { nodeId, acceptorId } of members.list) {
        void ask(nodeId, encodeQuestion(question({ group, acceptorId })), answerMsMax)
          .then((answer) => {
            answers.push(decodeAnswer(answer));
          })
          .catch(() => {}) // No answer.
          .then(settle);
      }
    });
    return [...answers];
  }

  /** The group that these disks belong to, or, where none of them does to any, the one that they make. Fails: NoMajority. */
  async #findGroup(): Promise<Members> {
    const { nodeIds, ask } = this.#options;
    const found = await Promise.all(
      nodeIds.map(async (nodeId) => {
        try {
          const answer = decodeAnswer(
            await ask(nodeId, encodeQuestion({ kind: 'describe' }), answerMsMax),
          );
          return answer.kind === 'described' ? { nodeId, ...answer } : undefined;
        } catch {
          return undefined; // No answer.
        }
      }),
    );
    const described = found.filter((one) => one !== undefined);
    const groups = described.flatMap(({ group }) => (group === undefined ? [] : [group]));
    // A group of which no majority is left answers nobody, and then there may be one that has taken its place.
    const counted = groups.map((group) => ({
      group,
      count: described.filter((one) => isIn(group, one)).length,
    }));
    const [best] = counted.sort((one, other) => other.count - one.count);
    if (best !== undefined) {
      this.#group = best.group;
      this.#members = best.group.members;
      return best.group.members;
    }
    if (described.length < nodeIds.length) {
      throw new NoMajority(
        `the quorum begins when all of its ${nodeIds.length} nodes answer, and ${described.length} do`,
      );
    }
    this.#group = groupOf(
      described.map(({ nodeId, acceptorId }): Member => ({ nodeId, acceptorId })),
    );
    this.#members = this.#group.members;
    return this.#members;
  }

  /** Others have changed who votes. */
  async #findMembers(members: Members): Promise<void> {
    const answers = await this.#askAll(
      members,
      (address) => ({ kind: 'read', ...address, ballot: noBallot }),
      () => false,
    );
    const agreed = agreedOn(answers, members);
    for (const answer of answers) {
      if (answer.kind !== 'state' || (answer.value?.byteLength ?? 0) === 0) continue;
      const { members: found } = Table.decode(answer.value as Uint8Array); // It has bytes.
      // Under an epoch there are proposals only when its members were agreed on.
      const isAgreed =
        answer.accepted.epoch === found.epoch ||
        (agreed !== undefined && isSameBallot(answer.accepted, agreed.accepted));
      if (isAgreed && found.epoch > (this.#members?.epoch ?? 0)) this.#members = found;
    }
  }

  #nextBallot(epoch: number): Ballot {
    const { proposer } = this.#options;
    const round = (this.#highest.epoch === epoch ? this.#highest.round : 0) + 1;
    const ballot = { epoch, round, proposer };
    this.#heardOf(ballot);
    return ballot;
  }

  #heardOf(ballot: Ballot): void {
    if (compareBallots(ballot, this.#highest) > 0) this.#highest = ballot;
  }

  /** Whether there are any. */
  #noteConflicts(answers: readonly Answer[]): boolean {
    let isAny = false;
    for (const answer of answers) {
      if (answer.kind !== 'conflict') continue;
      isAny = true;
      this.#heardOf(answer.promised);
    }
    return isAny;
  }

  #backOff(tries: number): Promise<void> {
    const { timers, random } = this.#options.env;
    const delayMs = random.next() * Math.min(backoffMsMax, 2 ** tries);
    return new Promise((resolve) => {
      timers.after(delayMs, resolve, { keepAlive: true });
    });
  }
}

type StateAnswer = Extract<Answer, { kind: 'state' }>;

/** What a majority has accepted: that was agreed on. */
function agreedOn(answers: readonly Answer[], members: Members): StateAnswer | undefined {
  const states = answers.filter((one) => one.kind === 'state');
  return states.find(
    ({ accepted }) =>
      states.filter((other) => isSameBallot(other.accepted, accepted)).length >=
      majorityOf(members),
  );
}

function majority(members: Members, kind: Answer['kind']): (answers: readonly Answer[]) => boolean {
  return (answers) => answers.filter((one) => one.kind === kind).length >= majorityOf(members);
}

function noMajority({ list }: Members, answers: readonly Answer[]): string {
  const strangers = answers.filter(({ kind }) => kind === 'stranger').length;
  const also = strangers > 0 ? `; ${strangers} have lost their disk, and do not vote` : '';
  return `${answers.length - strangers} of ${list.length} members answer${also}`;
}

function attempt(change: (table: Table) => Table, table: Table): Table | { thrown: unknown } {
  try {
    return change(table);
  } catch (thrown) {
    return { thrown };
  }
}

function isIn(
  group: Group,
  { nodeId, acceptorId, group: own }: Member & { group: Group | undefined },
): boolean {
  if (own !== undefined && own.groupId !== group.groupId) return false;
  return group.members.list.some((one) => one.nodeId === nodeId && one.acceptorId === acceptorId);
}

/** What a caller hears of it. @param what opens the message: "get of key 'a'" */
export function quorumFailure(what: string, thrown: unknown): Error {
  const error = toError(thrown);
  if (error instanceof NoMajority) {
    return new PaipaiError(
      'PAIPAI_ERR_COORDINATOR_DOWN',
      `${what}: no majority of the quorum can be asked: ${error.message}`,
      { cause: error },
    );
  }
  if (!(error instanceof OutcomeUnknown)) return error;
  return new PaipaiError(
    'PAIPAI_ERR_PEER_CLOSED',
    `${what}: it is not known whether it was done: ${error.message}`,
    { cause: error },
  );
}
