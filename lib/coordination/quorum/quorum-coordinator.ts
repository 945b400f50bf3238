import { checkId } from '../../base/check.js';
import type { Env, Timer } from '../../base/env.js';
import { isPaipaiError, PaipaiError, toError } from '../../base/errors.js';
import { bounded, closedError } from '../call.js';
import {
  type CallSettings,
  checkCallOptions,
  checkKey,
  checkLeaseId,
  checkList,
  checkSetOptions,
  checkTtl,
  checkTxn,
  checkVersion,
  checkWatchOptions,
  copyOfValue,
} from '../check.js';
import type {
  CallOptions,
  CompareAndSetResult,
  GrantedLease,
  KeyList,
  KeyState,
  ListOptions,
  Quorum,
  QuorumMember,
  SetOptions,
  Txn,
  TxnResult,
  Watch,
  WatchOptions,
} from '../coordinator.js';
import { drawLeaseId } from '../lease-id.js';
import { LocalWatch } from '../local/local-watch.js';
import { Acceptor, type AcceptorDisk } from './acceptor.js';
import { type GroupView, NoMajority, votesIn } from './find-group.js';
import { LeaseObserver } from './lease-observer.js';
import { withReplaced } from './members.js';
import { Mirror } from './mirror.js';
import { type AskAcceptor, OutcomeUnknown, quorumFailure, Register } from './register.js';
import { leasesIn, type Table } from './table.js';

export interface QuorumOptions {
  readonly env: Pick<Env, 'clock' | 'timers' | 'random'>;
  /** This node. */
  readonly nodeId: string;
  /** Who begins together. A node that is none of them can take the place of one. */
  readonly nodeIds: readonly string[];
  readonly disk: AcceptorDisk;
  /** Asks the acceptor of another node. */
  readonly ask: AskAcceptor;
  /** Of a table that begins, all versions are above it. Default: the clock of this machine, so that none comes again when all disks are lost. */
  readonly startVersion?: number;
  /** Changes kept here for watches: 1 or more, default 10,000. */
  readonly historyCountMax?: number;
}

/** What is asked of the table, and who waits for the answer. `work` gives the table back when it changes nothing. */
interface Wish {
  readonly work: (table: Table) => Table;
  /** With the table right behind it, which others of its round may have gone on from. */
  readonly settle: (table: Table) => void;
  readonly fail: (error: Error) => void;
  readonly isGivenUp: () => boolean;
}

/** So many wait for the round before them, each with a copy of its value. */
const wishesMax = 1_024;
/** How long a member that has no majority tries again before it says so. */
const patienceMs = 2_000;
const retryMs = 50;
/** No table changes as often, and 2^53 of these last for 278 years. */
const versionsPerMs = 1_024;
/** Between two looks at what others have changed, while somebody watches. */
const lookMs = 1_000;
const lookDeadlineMs = 10_000;

/**
 * One of the nodes of a quorum: it votes, and it serves the table to whoever asks, by proposing to all of them. It answers nobody while fewer than a majority
 * answer it. Wishes that come together are one proposal.
 */
export class QuorumCoordinator implements Quorum {
  readonly #options: QuorumOptions;
  readonly #acceptor: Acceptor;
  readonly #register: Register;
  readonly #mirror: Mirror;
  readonly #observer: LeaseObserver;
  readonly #watches = new Set<LocalWatch>();
  #wishes: Wish[] = [];
  #isRunning = false;
  #isClosed = false;
  #lookTimer: Timer | undefined;

  /** Takes the disk over. Fails: PAIPAI_ERR_STORE_FAILED. */
  static async open(options: QuorumOptions): Promise<QuorumCoordinator> {
    const holder: { coordinator?: QuorumCoordinator } = {};
    const acceptor = await Acceptor.open(options.env.random, options.disk, () =>
      holder.coordinator?.onAccepted(),
    );
    holder.coordinator = new QuorumCoordinator(options, acceptor);
    return holder.coordinator;
  }

  private constructor(options: QuorumOptions, acceptor: Acceptor) {
    const { env, nodeId, nodeIds, ask, historyCountMax = 10_000, startVersion } = options;
    this.#options = options;
    this.#acceptor = acceptor;
    this.#register = new Register({
      env,
      nodeId,
      nodeIds,
      proposer: drawLeaseId(env.random),
      ask: (id, question, deadlineMs) =>
        id === nodeId ? acceptor.answer(question) : ask(id, question, deadlineMs),
      firstVersion: () => startVersion ?? Math.floor(env.clock.wallMs()) * versionsPerMs,
    });
    this.#mirror = new Mirror(historyCountMax);
    const order = nodeIds.indexOf(nodeId);
    this.#observer = new LeaseObserver(env, {
      patience: order === -1 ? nodeIds.length : order,
      expire: async (leaseId, keeps) => {
        const { leases } = await this.#wish(
          `the end of lease ${leaseId}`,
          { deadlineMs: patienceMs, signal: undefined },
          (table) => (table.leases.get(leaseId)?.keeps === keeps ? table.without(leaseId) : table),
        );
        // A node that votes no more hears nothing of them otherwise.
        this.#observer.see(leases);
      },
    });
    this.onAccepted();
  }

  /** What the acceptor of this node is asked. */
  answer(question: Uint8Array): Promise<Uint8Array> {
    return this.#acceptor.answer(question);
  }

  async get(key: string, options: CallOptions = {}): Promise<KeyState> {
    checkKey(key);
    const what = `get of key ${JSON.stringify(key)}`;
    return stateOf(await this.#wish(what, checkCallOptions(options), unchanged), key);
  }

  async list(prefix: string, options: ListOptions = {}): Promise<KeyList> {
    const { limit, after, ...settings } = checkList(prefix, options);
    const what = `list of keys with prefix ${JSON.stringify(prefix)}`;
    await this.#wish(what, settings, unchanged);
    return this.#mirror.entries.list(prefix, after, limit);
  }

  async compareAndSet(
    key: string,
    expectedVersion: number,
    value: Uint8Array | undefined,
    options: SetOptions = {},
  ): Promise<CompareAndSetResult> {
    checkKey(key);
    checkVersion('expectedVersion', expectedVersion);
    const bytes = copyOfValue(value, expectedVersion);
    const { leaseId, ...settings } = checkSetOptions(options, bytes === undefined);
    const what = `compareAndSet of key ${JSON.stringify(key)}`;
    let isSet = false;
    const table = await this.#wish(what, settings, (before) => {
      isSet = before.versionOf(key) === expectedVersion;
      return isSet ? before.with([{ key, value: bytes, leaseId }]) : before;
    });
    return { isSet, ...stateOf(table, key) };
  }

  async txn(txn: Txn, options: CallOptions = {}): Promise<TxnResult> {
    const { expect, set } = checkTxn(txn);
    let isSet = false;
    const table = await this.#wish('a transaction', checkCallOptions(options), (before) => {
      isSet = before.isAsExpected(expect);
      return isSet ? before.with(set) : before;
    });
    const keys = [...expect, ...set].map(({ key }) => key);
    const versions = new Map(keys.map((key) => [key, table.versionOf(key)]));
    return { isSet, versions, asOf: table.version };
  }

  watch(key: string, options: WatchOptions): Watch {
    checkKey(key);
    const settings = checkWatchOptions(options);
    if (this.#isClosed) throw closedError();
    let isOver = false;
    const watch = new LocalWatch(this.#mirror.entries, key, settings, (over) => {
      isOver = true;
      this.#watches.delete(over);
    });
    if (!isOver) this.#watches.add(watch);
    this.#look();
    return watch;
  }

  async grantLease(ttlMs: number, options: CallOptions = {}): Promise<GrantedLease> {
    checkTtl(ttlMs);
    const leaseId = drawLeaseId(this.#options.env.random);
    const settings = checkCallOptions(options);
    await this.#wish('the grant of a lease', settings, (table) => table.withLease(leaseId, ttlMs));
    return { leaseId, ttlMs };
  }

  async keepLease(leaseId: number, options: CallOptions = {}): Promise<void> {
    checkLeaseId(leaseId);
    const what = `keeping lease ${leaseId} alive`;
    await this.#wish(what, checkCallOptions(options), (table) => table.withKept(leaseId));
  }

  async revokeLease(leaseId: number, options: CallOptions = {}): Promise<void> {
    checkLeaseId(leaseId);
    const what = `the end of lease ${leaseId}`;
    await this.#wish(what, checkCallOptions(options), (table) => table.without(leaseId));
  }

  async members(options: CallOptions = {}): Promise<readonly QuorumMember[]> {
    const settings = checkCallOptions(options);
    const what = 'who is a member of the quorum';
    return bounded(this.#options.env.timers, what, settings, () => this.#members(what));
  }

  async replaceMember(
    oldNodeId: string,
    newNodeId: string,
    options: CallOptions = {},
  ): Promise<void> {
    const [oldId, newId] = [checkId('oldNodeId', oldNodeId), checkId('newNodeId', newNodeId)];
    const settings = checkCallOptions(options);
    const what = `the replacement of member ${oldId} by node ${newId}`;
    return bounded(this.#options.env.timers, what, settings, () =>
      this.#replace(what, oldId, newId),
    );
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#lookTimer?.cancel();
    this.#observer.close();
    for (const watch of [...this.#watches]) watch.fail(closedError());
    for (const { fail } of this.#wishes.splice(0)) fail(closedError());
    await this.#acceptor.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The acceptor has another value, which need not be agreed on. */
  onAccepted(): void {
    const { value } = this.#acceptor.latest;
    if (value.byteLength === 0 || this.#isClosed) return;
    this.#observer.see(leasesIn(value));
    if (this.#watches.size > 0 && !this.#isRunning) this.#look();
  }

  async #members(what: string): Promise<readonly QuorumMember[]> {
    const { group, described } = await this.#survey(what);
    return group.members.list.map(({ nodeId }) => {
      const found = described.get(nodeId);
      if (found === undefined) return { nodeId, state: 'silent' };
      return { nodeId, state: votesIn(group, found) ? 'voting' : 'wiped' };
    });
  }

  async #replace(what: string, oldId: string, newId: string): Promise<void> {
    const { group, described } = await this.#survey(what, newId);
    const found = described.get(newId);
    if (found === undefined) {
      throw new PaipaiError(
        'PAIPAI_ERR_NODE_LOST',
        `${what}: node ${newId} does not answer as a node of a quorum: start it with --quorum`,
        { nodeId: newId },
      );
    }
    if (found.group !== undefined && found.group.groupId !== group.groupId) {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_STATE',
        `${what}: the disk of node ${newId} votes in another quorum: remove its folder`,
        { nodeId: newId },
      );
    }
    const member = { nodeId: newId, acceptorId: found.acceptorId };
    const unbounded = { deadlineMs: Infinity, signal: undefined };
    await this.#wish(what, unbounded, (table) =>
      table.withMembers(withReplaced(table.members, oldId, member)),
    );
    try {
      // A look under the new members: most of them have the table then.
      await this.#wish(what, unbounded, unchanged);
    } catch (thrown) {
      if (!isPaipaiError(thrown, 'PAIPAI_ERR_COORDINATOR_DOWN')) throw thrown;
      throw quorumFailure(
        what,
        new OutcomeUnknown('it was decided, and too few of the new members answer'),
      );
    }
  }

  async #survey(what: string, nodeId?: string): Promise<GroupView> {
    if (this.#isClosed) throw closedError();
    try {
      return await this.#register.survey(nodeId);
    } catch (thrown) {
      throw quorumFailure(what, thrown);
    }
  }

  /** What `work` makes of the table, when that is agreed on. */
  #wish(what: string, settings: CallSettings, work: (table: Table) => Table): Promise<Table> {
    return bounded(this.#options.env.timers, what, settings, async (isGivenUp) => {
      if (this.#isClosed) throw closedError();
      if (this.#wishes.length >= wishesMax) {
        throw new PaipaiError('PAIPAI_ERR_OVERLOADED', `${wishesMax} calls wait already`);
      }
      return new Promise<Table>((resolve, reject) => {
        const fail = (error: Error): void => reject(quorumFailure(what, error));
        this.#wishes.push({ work, settle: resolve, fail, isGivenUp });
        if (!this.#isRunning) void this.#run();
      });
    });
  }

  /** It never rejects. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#wishes.length > 0) {
      const batch = this.#wishes.splice(0).filter(({ isGivenUp }) => !isGivenUp());
      if (batch.length > 0) await this.#grant(batch);
    }
    this.#isRunning = false;
  }

  async #grant(batch: readonly Wish[]): Promise<void> {
    const { clock } = this.#options.env;
    const untilMs = clock.nowMs() + patienceMs;
    let outcomes = new Map<Wish, Table | Error>();
    const change = (before: Table): Table => {
      outcomes = new Map();
      return batch.reduce((table, wish) => {
        try {
          const behind = wish.work(table);
          outcomes.set(wish, behind);
          return behind;
        } catch (thrown) {
          outcomes.set(wish, toError(thrown));
          return table;
        }
      }, before);
    };
    for (;;) {
      try {
        const isReading = batch.every(({ work }) => work === unchanged);
        const table = isReading ? await this.#register.read() : await this.#register.update(change);
        this.#learn(table);
        for (const wish of batch) {
          const outcome = outcomes.get(wish) ?? table; // One look is enough for all who only look.
          if (outcome instanceof Error) wish.fail(outcome);
          else wish.settle(outcome);
        }
        return;
      } catch (thrown) {
        const mayPass = thrown instanceof NoMajority && clock.nowMs() < untilMs && !this.#isClosed;
        if (!mayPass) {
          for (const { fail } of batch) fail(this.#isClosed ? closedError() : toError(thrown));
          return;
        }
        await this.#pause(retryMs);
      }
    }
  }

  /** It was agreed on. */
  #learn(table: Table): void {
    if (this.#isClosed) return;
    const before = this.#mirror.entries;
    const { lastVersion } = before;
    const changes = this.#mirror.follow(table);
    if (this.#mirror.entries !== before) {
      for (const watch of [...this.#watches]) watch.rebase(this.#mirror.entries, lastVersion);
      return;
    }
    for (const { key, version } of changes) {
      for (const watch of [...this.#watches]) if (watch.key === key) watch.onChange(version);
    }
  }

  /** Soon, and again while somebody watches: others propose too. */
  #look(): void {
    if (this.#isClosed || this.#watches.size === 0) return;
    this.#lookTimer?.cancel();
    this.#lookTimer = this.#options.env.timers.after(lookMs, () => this.#look());
    const settings = { deadlineMs: lookDeadlineMs, signal: undefined };
    this.#wish('a look at the table', settings, unchanged).catch((thrown: unknown) => {
      // Others may go on without this member, so whoever watches here should look elsewhere.
      if (!isPaipaiError(thrown, 'PAIPAI_ERR_COORDINATOR_DOWN')) return;
      for (const watch of [...this.#watches]) watch.fail(thrown);
    });
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.env.timers.after(delayMs, resolve, { keepAlive: true });
    });
  }
}

/** For who only looks: such wishes need no proposal. */
function unchanged(table: Table): Table {
  return table;
}

function stateOf(table: Table, key: string): KeyState {
  const entry = table.entries.get(key);
  const value = entry === undefined ? undefined : Uint8Array.from(entry.value);
  return { value, version: entry?.version ?? 0, asOf: table.version };
}
