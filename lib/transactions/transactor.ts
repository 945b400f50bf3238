import type { Env } from '../base/env.js';
import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { pause } from '../base/pause.js';
import type { Operation } from '../cluster/transfer/operation.js';
import type { Coordinator } from '../coordination/coordinator.js';
import { Decisions, UnknownOutcome } from './decisions.js';
import {
  compareRecordsMethod,
  decodeAnswer,
  decodeVote,
  encodeKey,
  encodePreparation,
  encodeVersions,
  getRecordMethod,
  type InDoubt,
  type Outcome,
  prepareMethod,
  type TouchedRecord,
  type Vote,
} from './messages.js';
import { layoutOf, type RecordLayout, type RecordNodes } from './record-nodes.js';
import { Settler } from './settler.js';
import { type RecordState, Transaction } from './transaction.js';

export type TransactionWork<T> = (tx: Transaction) => T | PromiseLike<T>;

export interface TransactorOptions {
  readonly env: Pick<Env, 'clock' | 'timers' | 'random'>;
  readonly coordinator: Coordinator;
  readonly nodes: RecordNodes;
}

/** What the work of a transaction came to. */
type Result<T> = { readonly value: T } | { readonly thrown: unknown };

/** The records of one node that a transaction has touched. */
interface Part {
  readonly name: string;
  readonly records: readonly TouchedRecord[];
}

const backoffMsMax = 100;
/** Between two questions for an outcome that is not known yet. */
const askAgainMs = 100;

/**
 * Runs transactions over the records of several nodes, by two-phase commit: every node that it touches promises to follow it, and then one change in the
 * table of the coordinator commits it. Whoever dies in the middle holds up the others no longer than its lease.
 */
export class Transactor {
  readonly #options: TransactorOptions;
  readonly #decisions: Decisions;
  readonly #settler: Settler;
  #layout: RecordLayout | undefined;

  constructor(options: TransactorOptions) {
    const { env, coordinator, nodes } = options;
    this.#options = options;
    this.#decisions = new Decisions(env, coordinator);
    this.#settler = new Settler({
      env,
      decisions: this.#decisions,
      nodes,
      names: () => this.#layout?.names ?? [],
    });
  }

  /**
   * What `work` gives, when what it has read and written counts, all of it. It is called again when others have come in between, until the operation
   * ends. When it throws nothing is written.
   * Fails: PAIPAI_ERR_OUTCOME_UNKNOWN, with `transactionId`; after all else nothing is written: _NODE_LOST, _STORE_FULL, _STORE_FAILED, _OVERLOADED,
   * as the operation, as `work`, and as the coordinator.
   */
  async run<T>(work: TransactionWork<T>, operation: Operation): Promise<T> {
    this.#settler.start();
    /** What it was last held up by. */
    const trouble: Trouble = { what: '' };
    try {
      for (let tries = 0; ; tries++) {
        const done = await this.#try(work, trouble, operation);
        if (done !== undefined) return done.value;
        await this.#backOff(tries, operation);
      }
    } catch (thrown) {
      if (!isPaipaiError(thrown, 'PAIPAI_ERR_DEADLINE') || trouble.what === '') throw thrown;
      throw new PaipaiError('PAIPAI_ERR_DEADLINE', `${thrown.message}: ${trouble.what}`, {
        cause: thrown,
      });
    }
  }

  /**
   * What has become of a transaction that ended with PAIPAI_ERR_OUTCOME_UNKNOWN.
   * Fails as `Coordinator.get`; PAIPAI_ERR_INVALID_ARGUMENT for an id that is none.
   */
  outcomeOf(id: string, operation: Operation): Promise<Outcome | 'unknown'> {
    return this.#decisions.outcomeOf(id, limitsOf(operation));
  }

  /** By node: what it has promised to follow, and has not heard the outcome of. Of nodes that cannot be asked there is none. */
  async inDoubt(operation: Operation): Promise<Map<string, InDoubt[]>> {
    const { names } = await this.#findLayout(operation);
    const lists = await Promise.all(
      names.map(async (name): Promise<[string, InDoubt[]]> => {
        try {
          return [name, await operation.race(this.#settler.inDoubt(name))];
        } catch (thrown) {
          operation.throwIfFailed();
          if (!isPaipaiError(thrown, 'PAIPAI_ERR_NODE_LOST')) throw thrown;
          return [name, []];
        }
      }),
    );
    return new Map(lists);
  }

  /** What is not committed by then is aborted. It never fails. */
  async close(): Promise<void> {
    await this.#settler.close();
    await this.#decisions.close();
  }

  /** Undefined when others came in between. */
  async #try<T>(
    work: TransactionWork<T>,
    trouble: Trouble,
    operation: Operation,
  ): Promise<{ value: T } | undefined> {
    operation.throwIfFailed();
    const layout = await this.#findLayout(operation);
    const tx = new Transaction((key) => this.#read(layout, key, trouble, operation));
    const result = await resultOf(work, tx, operation);
    tx.end();
    operation.throwIfFailed();
    if ('thrown' in result) {
      // It may have come of a mixture that never was.
      const parts = partsOf(layout, tx.reads());
      const isReal = await this.#wereSoAtOnce(parts, trouble, operation).catch(() => true);
      if (isReal) throw result.thrown;
      return undefined;
    }
    const records = await tx.records();
    const parts = partsOf(layout, records);
    const isDone = records.some(({ change }) => change !== undefined)
      ? await this.#commit(parts, trouble, operation)
      : await this.#wereSoAtOnce(parts, trouble, operation);
    return isDone ? result : undefined;
  }

  async #findLayout(operation: Operation): Promise<RecordLayout> {
    const { coordinator, nodes } = this.#options;
    this.#layout ??= await layoutOf(coordinator, nodes, limitsOf(operation));
    return this.#layout;
  }

  async #read(
    layout: RecordLayout,
    key: string,
    trouble: Trouble,
    operation: Operation,
  ): Promise<RecordState> {
    const name = layout.nodeOf(key);
    for (let tries = 0; ; tries++) {
      const payload = await this.#ask(name, getRecordMethod, encodeKey(key), operation);
      const answer = decodeAnswer(payload);
      if (answer.kind === 'is') return answer;
      const isFree = await this.#unblock(name, answer.by, trouble, operation);
      if (!isFree) await this.#backOff(tries, operation);
    }
  }

  /** Whether all that was read was so at one moment. One record always was. */
  async #wereSoAtOnce(
    parts: readonly Part[],
    trouble: Trouble,
    operation: Operation,
  ): Promise<boolean> {
    const [first, ...others] = parts;
    if (first === undefined || (others.length === 0 && first.records.length === 1)) return true;
    return this.#haveAll(parts, trouble, operation, ({ name, records }) =>
      this.#ask(name, compareRecordsMethod, encodeVersions(records), operation),
    );
  }

  /** False when others came in between, and nothing is written. Fails as `run`. */
  async #commit(parts: readonly Part[], trouble: Trouble, operation: Operation): Promise<boolean> {
    const id = await this.#decisions.begin(limitsOf(operation));
    const names = parts.map(({ name }) => name);
    this.#settler.begin(id);
    let isPromised = false;
    try {
      isPromised = await this.#haveAll(parts, trouble, operation, ({ name, records }) =>
        this.#ask(name, prepareMethod, encodePreparation({ id, records }), operation),
      );
      operation.throwIfFailed();
    } finally {
      if (!isPromised || operation.hasFailed) this.#settler.abort(id, names);
    }
    if (!isPromised) return false;
    const outcome = await this.#decide(id, operation);
    if (outcome === 'aborted') this.#settler.abort(id, names);
    else await this.#settler.commit(id, names);
    return outcome === 'committed';
  }

  /** Fails: PAIPAI_ERR_OUTCOME_UNKNOWN. */
  async #decide(id: string, operation: Operation): Promise<Outcome> {
    try {
      return await this.#decisions.commit(id, limitsOf(operation));
    } catch (thrown) {
      if (!(thrown instanceof UnknownOutcome)) throw thrown;
      const outcome = await this.#askFor(id, operation);
      if (outcome !== 'unknown') return outcome;
      this.#settler.doubt(id);
      throw new PaipaiError(
        'PAIPAI_ERR_OUTCOME_UNKNOWN',
        `it is not known whether transaction ${id} is committed: ask for its outcome later`,
        { transactionId: id, cause: thrown.cause },
      );
    }
  }

  /** Until it is known, or the operation ends. */
  async #askFor(id: string, operation: Operation): Promise<Outcome | 'unknown'> {
    while (!operation.hasFailed) {
      try {
        const outcome = await this.#decisions.outcomeOf(id, limitsOf(operation));
        if (outcome !== 'unknown') return outcome;
      } catch (thrown) {
        if (!isPaipaiError(thrown)) throw thrown;
      }
      await pause(this.#options.env.timers, askAgainMs, operation.signal);
    }
    return 'unknown';
  }

  /** Asks all nodes at once; whether all have said yes. Sees to those that hold the records. */
  async #haveAll(
    parts: readonly Part[],
    trouble: Trouble,
    operation: Operation,
    ask: (part: Part) => Promise<Uint8Array>,
  ): Promise<boolean> {
    const answers = await Promise.allSettled(parts.map(ask));
    const votes = answers.map((answer): Vote => {
      if (answer.status === 'rejected') throw answer.reason;
      return decodeVote(answer.value);
    });
    for (const [at, vote] of votes.entries()) {
      if (vote.kind !== 'blocked') continue;
      await this.#unblock((parts[at] as Part).name, vote.by, trouble, operation);
    }
    return votes.every(({ kind }) => kind === 'yes');
  }

  /** Has those transactions settled on the node that are decided; whether all are. */
  async #unblock(
    name: string,
    ids: readonly string[],
    trouble: Trouble,
    operation: Operation,
  ): Promise<boolean> {
    let isFree = true;
    for (const id of ids) {
      const isSettled = await operation.race(this.#settler.settle(name, id));
      if (isSettled) continue;
      isFree = false;
      trouble.what = `transaction ${id} is in doubt on node ${name}`;
    }
    return isFree;
  }

  #ask(
    name: string,
    method: string,
    payload: Uint8Array,
    operation: Operation,
  ): Promise<Uint8Array> {
    const { deadlineMs, signal } = limitsOf(operation);
    return this.#options.nodes.ask(name, method, payload, { deadlineMs, signal });
  }

  #backOff(tries: number, operation: Operation): Promise<void> {
    const { timers, random } = this.#options.env;
    return pause(
      timers,
      random.next() * Math.min(backoffMsMax, 2 ** Math.min(tries, 10)),
      operation.signal,
    ).then(() => operation.throwIfFailed());
  }
}

interface Trouble {
  what: string;
}

async function resultOf<T>(
  work: TransactionWork<T>,
  tx: Transaction,
  operation: Operation,
): Promise<Result<T>> {
  try {
    return { value: await operation.race(Promise.resolve(work(tx))) };
  } catch (thrown) {
    return { thrown };
  }
}

function partsOf(layout: RecordLayout, records: readonly TouchedRecord[]): Part[] {
  const byName = new Map<string, TouchedRecord[]>();
  for (const record of records) {
    const name = layout.nodeOf(record.key);
    const there = byName.get(name);
    if (there === undefined) byName.set(name, [record]);
    else there.push(record);
  }
  return Array.from(byName, ([name, its]) => ({ name, records: its }));
}

function limitsOf(operation: Operation): { deadlineMs: number; signal: AbortSignal } {
  return { deadlineMs: operation.remainingMs(), signal: operation.signal };
}
