import type { Env } from '../../base/env.js';
import { PaipaiError, toError } from '../../base/errors.js';
import { type Ballot, compareBallots, firstBallot, isSameBallot, noBallot } from './ballot.js';
import { type Described, findGroup, type GroupView, NoMajority } from './find-group.js';
import { type Group, type Members, majorityOf } from './members.js';
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
  /** This node, one of the members or not. */
  readonly nodeId: string;
  /** All who begin together: an odd number of 1 to 7. */
  readonly nodeIds: readonly string[];
  /** A number that no other proposer of the group has, nor had. */
  readonly proposer: number;
  readonly ask: AskAcceptor;
  /** What the group begins with. */
  readonly firstVersion: () => number;
}

/** A change that some have heard of and too few have confirmed: it is made, now or later, or never. */
export class OutcomeUnknown extends Error {}

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
 *
 * Members change with the value. They are those of an epoch, which stands in the ballots; a value that names those of a later epoch, once most members have accepted
 * it, is the last one of its own: whoever finds it under that epoch proposes it as it is, and nothing else. So there is one such value, whatever else is
 * under way, and the next epoch begins with it, under a ballot that nobody draws. A member votes in an epoch when it has accepted a value of it, so each
 * majority there has what was agreed on before, and no majority of the one set need meet one of the other.
 *
 * Callers come one after the other.
 */
export class Register {
  readonly #options: RegisterOptions;
  /** Whose members are asked; undefined before the first question. */
  #group: Group | undefined;
  /** Others may vote by now. */
  #hasMoved = false;
  #known: Known | undefined;
  /** What the latest epoch that this proposer has seen coming begins with. */
  #beginning: { readonly group: Group; readonly value: Uint8Array } | undefined;
  /** By epoch: the highest round that was heard of. */
  readonly #rounds = new Map<number, number>();

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
    const { members } = await this.#currentGroup();
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
      if (states < majorityOf(members)) throw this.#noMajority(members, answers);
      // Nothing more is proposed here before it is known what of it counts.
      this.#known = undefined;
      return undefined;
    }
    if (known !== undefined && isSameBallot(agreed.accepted, known.accepted)) return known.table;
    this.#heardOf(agreed.accepted);
    if (agreed.value === undefined || agreed.value.byteLength === 0) return undefined;
    const table = Table.decode(agreed.value);
    if (table.members.epoch === members.epoch) {
      this.#known = { table, accepted: agreed.accepted, next: undefined };
      return table;
    }
    await this.#begin(table);
    return undefined;
  }

  /** Takes the right to propose, and brings to its end what others have begun. */
  async #takeOver(tries: number): Promise<void> {
    if (tries > 0) await this.#backOff(tries);
    this.#known = undefined;
    const { members } = await this.#currentGroup();
    const ballot = this.#nextBallot(members.epoch);
    const answers = await this.#askAll(
      members,
      (address) => ({ kind: 'prepare', ...address, ballot }),
      majority(members, 'state'),
    );
    const states = answers.filter((one) => one.kind === 'state');
    if (states.length < majorityOf(members)) {
      const isContested = this.#noteConflicts(members, answers);
      if (answers.some(({ kind }) => kind === 'behind')) await this.#handOver();
      else if (!isContested) throw this.#noMajority(members, answers);
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
    const { members } = this.#group as Group; // Under which the ballot was prepared.
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
      if (isStaying) this.#known = { table, accepted: ballot, next };
      else await this.#begin(table);
      return true;
    }
    this.#noteConflicts(members, answers);
    return false;
  }

  /** The epoch of the table's members, which was agreed on. */
  async #begin(table: Table): Promise<void> {
    const { groupId } = this.#group as Group; // In which it was agreed on.
    this.#group = { groupId, members: table.members };
    this.#hasMoved = false;
    this.#known = undefined;
    this.#beginning = { group: this.#group, value: table.encode() };
    await this.#handOver();
  }

  /** Gives the members what they need to vote in their epoch: what it begins with, or something that was proposed in it since. */
  async #handOver(): Promise<void> {
    const group = this.#group as Group; // Whose members were asked.
    const { members } = group;
    const found = await this.#proposedIn(group);
    if (found === undefined) {
      // Where those are gone who told of this epoch, the one before it can lead there again.
      this.#hasMoved = true;
      throw new NoMajority('nobody answers who has what the new members begin with');
    }
    await this.#askAll(
      members,
      (address) => ({ kind: 'accept', ...address, ...found, next: noBallot }),
      majority(members, 'accepted'),
    );
  }

  /** To propose it once more as it is, and under its own ballot, is as if the network had doubled a message. */
  async #proposedIn({
    groupId,
    members,
  }: Group): Promise<{ readonly ballot: Ballot; readonly value: Uint8Array } | undefined> {
    const { epoch } = members;
    const beginning = this.#beginning;
    if (beginning?.group.groupId === groupId && beginning.group.members.epoch === epoch) {
      return { ballot: firstBallot(epoch), value: beginning.value };
    }
    const ofEpoch = (answers: readonly Answer[]): StateAnswer | undefined =>
      answers.find((one) => one.kind === 'state' && one.accepted.epoch === epoch) as
        | StateAnswer
        | undefined;
    const answers = await this.#askAll(
      members,
      (address) => ({ kind: 'read', ...address, ballot: noBallot }),
      (answers) => ofEpoch(answers) !== undefined,
    );
    const state = ofEpoch(answers);
    return state?.value === undefined ? undefined : { ballot: state.accepted, value: state.value };
  }

  /** Answers until they are enough, or all that come in time; those of the slowest no longer than it takes to see that they will not be. */
  async #askAll(
    members: Members,
    question: (address: { group: Group; acceptorId: number }) => Question,
    isEnough: (answers: readonly Answer[]) => boolean,
  ): Promise<readonly Answer[]> {
    const { groupId } = this.#group as Group; // Members are known by then.
    const group = { groupId, members };
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

  async #currentGroup(): Promise<Group> {
    if (this.#group !== undefined && !this.#hasMoved) return this.#group;
    const { group } = await this.survey();
    this.#group = group;
    this.#hasMoved = false;
    // It was promised by others.
    this.#known = undefined;
    return group;
  }

  /**
   * The group as those know it who answer now, and what they say of themselves.
   * @param also another node that is asked
   * Fails: NoMajority when there is none, and too few answer for one to begin.
   */
  survey(also?: string): Promise<GroupView> {
    const { nodeId, nodeIds } = this.#options;
    const lately = (this.#group?.members.list ?? []).map((one) => one.nodeId);
    const others = [nodeId, ...lately, ...(also === undefined ? [] : [also])];
    return findGroup(nodeIds, others, (id) => this.#describe(id));
  }

  /** Undefined when there is no answer. */
  async #describe(nodeId: string): Promise<Described | undefined> {
    try {
      const question = encodeQuestion({ kind: 'describe' });
      const answer = decodeAnswer(await this.#options.ask(nodeId, question, answerMsMax));
      return answer.kind === 'described' ? { nodeId, ...answer } : undefined;
    } catch {
      return undefined;
    }
  }

  #nextBallot(epoch: number): Ballot {
    const round = (this.#rounds.get(epoch) ?? 0) + 1;
    const ballot = { epoch, round, proposer: this.#options.proposer };
    this.#heardOf(ballot);
    return ballot;
  }

  #heardOf({ epoch, round }: Ballot): void {
    this.#rounds.set(epoch, Math.max(round, this.#rounds.get(epoch) ?? 0));
  }

  /** Whether there are any. */
  #noteConflicts({ epoch }: Members, answers: readonly Answer[]): boolean {
    let isAny = false;
    for (const answer of answers) {
      if (answer.kind !== 'conflict') continue;
      isAny = true;
      this.#heardOf(answer.promised);
      // Others vote now: who has promised that knows them.
      if (answer.promised.epoch > epoch) this.#hasMoved = true;
    }
    return isAny;
  }

  #noMajority({ list }: Members, answers: readonly Answer[]): NoMajority {
    const strangers = answers.filter(({ kind }) => kind === 'stranger').length;
    // Perhaps they were replaced since by what has no memory here.
    if (strangers > 0) this.#hasMoved = true;
    const also = strangers > 0 ? `; ${strangers} have lost their disk, and do not vote` : '';
    return new NoMajority(`${answers.length - strangers} of ${list.length} members answer${also}`);
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

/** What a majority has accepted in their epoch: that was agreed on. */
function agreedOn(answers: readonly Answer[], members: Members): StateAnswer | undefined {
  const states = answers.filter(
    (one) => one.kind === 'state' && one.accepted.epoch === members.epoch,
  ) as StateAnswer[];
  return states.find(
    ({ accepted }) =>
      states.filter((other) => isSameBallot(other.accepted, accepted)).length >=
      majorityOf(members),
  );
}

function majority(members: Members, kind: Answer['kind']): (answers: readonly Answer[]) => boolean {
  return (answers) => answers.filter((one) => one.kind === kind).length >= majorityOf(members);
}

function attempt(change: (table: Table) => Table, table: Table): Table | { thrown: unknown } {
  try {
    return change(table);
  } catch (thrown) {
    return { thrown };
  }
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
