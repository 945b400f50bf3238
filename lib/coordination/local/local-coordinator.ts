import { checkInteger } from '../../base/check.js';
import type { Env } from '../../base/env.js';
import { PaipaiError } from '../../base/errors.js';
import { bounded, closedError } from '../call.js';
import {
  type CheckedTxn,
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
import {
  type CallOptions,
  type CompareAndSetResult,
  type Coordinator,
  type GrantedLease,
  type KeyList,
  type KeyState,
  type ListOptions,
  type SetOptions,
  type Txn,
  type TxnResult,
  type TxnSet,
  valueBytesMax,
  type Watch,
  type WatchOptions,
} from '../coordinator.js';
import { Entries } from './entries.js';
import type { Journal, StoredChange } from './journal.js';
import { Leases } from './leases.js';
import { LocalWatch } from './local-watch.js';

export interface LocalCoordinatorOptions {
  /** Keys, values and 128 bytes for each key: 4 MiB or more, default 64 MiB. */
  bytesMax?: number;
  /** Changes kept for watches: 1 or more, default 10,000. */
  historyCountMax?: number;
  /** Their bytes: 4 MiB or more, default 16 MiB. */
  historyBytesMax?: number;
  /** All versions are above it, where no journal knows of a later one. Default 0. */
  startVersion?: number;
  /** What keeps the changes beyond this process. Default: nothing does. The coordinator closes it. */
  journal?: Journal;
}

const mebibyte = 1024 * 1024;
/** A few values of the largest size, so that one of them never pushes everything out. */
const bytesLeast = 4 * valueBytesMax;
/** Writes that wait behind a slow journal, each with a copy of its value. */
const writesWaitingMax = 1_024;

/** How long a lease that is over waits when its keys could not be deleted, as when the disk is full. */
const retryMs = 1_000;

type LocalEnv = Pick<Env, 'timers' | 'clock' | 'random'>;

/** A coordinator in the memory of one process, whose changes a journal may keep: what a node serves to its peers, also in simulations. */
export class LocalCoordinator implements Coordinator {
  readonly #env: LocalEnv;
  readonly #journal: Journal | undefined;
  readonly #entries: Entries;
  readonly #leases: Leases;
  readonly #watches = new Map<string, Set<LocalWatch>>();
  /** Settles with the last write there is; writes go one by one, so that each is compared with what the one before it left. */
  #writes: Promise<unknown> = Promise.resolve();
  #writesWaiting = 0;
  #closing: Promise<void> | undefined;

  private constructor(env: LocalEnv, options: LocalCoordinatorOptions) {
    const {
      bytesMax = 64 * mebibyte,
      historyCountMax = 10_000,
      historyBytesMax = 16 * mebibyte,
    } = options;
    const largest = Number.MAX_SAFE_INTEGER;
    this.#env = env;
    this.#journal = options.journal;
    this.#leases = new Leases(env, (leaseId) => this.#expire(leaseId));
    this.#entries = new Entries({
      bytesMax: checkInteger('bytesMax', bytesMax, bytesLeast, largest),
      historyCountMax: checkInteger('historyCountMax', historyCountMax, 1, largest),
      historyBytesMax: checkInteger('historyBytesMax', historyBytesMax, bytesLeast, largest),
    });
  }

  /** Fails: PAIPAI_ERR_INVALID_ARGUMENT, and what the journal fails with. */
  static async open(
    env: LocalEnv,
    options: LocalCoordinatorOptions = {},
  ): Promise<LocalCoordinator> {
    const coordinator = new LocalCoordinator(env, options);
    const startVersion = checkVersion('startVersion', options.startVersion ?? 0);
    const kept = await options.journal?.read();
    const { lastVersion = 0, entries = [] } = kept ?? {};
    const restored = [...entries];
    coordinator.#entries.restore(Math.max(startVersion, lastVersion), restored);
    for (const { key, lease } of restored) {
      if (lease === undefined) continue;
      coordinator.#leases.restore(lease);
      coordinator.#leases.attach(lease, key);
    }
    return coordinator;
  }

  async get(key: string, options: CallOptions = {}): Promise<KeyState> {
    checkKey(key);
    const what = `get of key ${JSON.stringify(key)}`;
    return bounded(this.#env.timers, what, checkCallOptions(options), async () => {
      this.#throwIfClosed();
      return copyOf(this.#entries.stateOf(key));
    });
  }

  async list(prefix: string, options: ListOptions = {}): Promise<KeyList> {
    const { limit, after, ...settings } = checkList(prefix, options);
    const what = `list of keys with prefix ${JSON.stringify(prefix)}`;
    return bounded(this.#env.timers, what, settings, async () => {
      this.#throwIfClosed();
      return this.#entries.list(prefix, after, limit);
    });
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
    const txn = {
      expect: [{ key, version: expectedVersion }],
      set: [{ key, value: bytes, leaseId }],
    };
    return bounded(this.#env.timers, what, settings, (isGivenUp) =>
      this.#inTurn(async () => {
        // Whoever has given up hears nothing of the answer, so that nothing needs to be written either.
        const isSet = !isGivenUp() && (await this.#change(txn));
        return { isSet, ...copyOf(this.#entries.stateOf(key)) };
      }),
    );
  }

  async txn(txn: Txn, options: CallOptions = {}): Promise<TxnResult> {
    const checked = checkTxn(txn);
    const settings = checkCallOptions(options);
    return bounded(this.#env.timers, 'a transaction', settings, (isGivenUp) =>
      this.#inTurn(async () => {
        const isSet = !isGivenUp() && (await this.#change(checked));
        const keys = [...checked.expect, ...checked.set].map(({ key }) => key);
        const versions = new Map(keys.map((key) => [key, this.#entries.stateOf(key).version]));
        return { isSet, versions, asOf: this.#entries.lastVersion };
      }),
    );
  }

  async grantLease(ttlMs: number, options: CallOptions = {}): Promise<GrantedLease> {
    checkTtl(ttlMs);
    return bounded(
      this.#env.timers,
      'the grant of a lease',
      checkCallOptions(options),
      async () => {
        this.#throwIfClosed();
        return this.#leases.grant(ttlMs);
      },
    );
  }

  async keepLease(leaseId: number, options: CallOptions = {}): Promise<void> {
    checkLeaseId(leaseId);
    const what = `keeping lease ${leaseId} alive`;
    return bounded(this.#env.timers, what, checkCallOptions(options), async () => {
      this.#throwIfClosed();
      this.#leases.keep(leaseId);
    });
  }

  async revokeLease(leaseId: number, options: CallOptions = {}): Promise<void> {
    checkLeaseId(leaseId);
    const what = `the end of lease ${leaseId}`;
    return bounded(this.#env.timers, what, checkCallOptions(options), (isGivenUp) =>
      this.#inTurn(async () => {
        if (!isGivenUp()) await this.#endLease(leaseId);
      }),
    );
  }

  watch(key: string, options: WatchOptions): Watch {
    checkKey(key);
    const settings = checkWatchOptions(options);
    this.#throwIfClosed();
    const watches = this.#watches.get(key) ?? new Set();
    this.#watches.set(key, watches);
    let isOver = false;
    const watch = new LocalWatch(this.#entries, key, settings, (over) => {
      isOver = true;
      watches.delete(over);
      if (watches.size === 0 && this.#watches.get(key) === watches) this.#watches.delete(key);
    });
    if (!isOver) watches.add(watch);
    return watch;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#leases.close();
    const all = [...this.#watches.values()].flatMap((watches) => [...watches]);
    for (const watch of all) watch.fail(closedError());
    await this.#writes;
    await this.#journal?.close();
  }

  /** Runs `work` behind all that was asked for before. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#throwIfClosed();
    if (this.#writesWaiting >= writesWaitingMax) {
      throw new PaipaiError(
        'PAIPAI_ERR_OVERLOADED',
        `${writesWaitingMax} writes wait for the journal already`,
      );
    }
    this.#writesWaiting++;
    const result = this.#writes.then(() => {
      this.#writesWaiting--;
      this.#throwIfClosed();
      return work();
    });
    this.#writes = result.catch(() => {}); // Whoever asked hears of it.
    return result;
  }

  /** Whether it was set. Readers see the changes, and watches are told of them, when they are kept. */
  async #change({ expect, set }: CheckedTxn): Promise<boolean> {
    const isAsExpected = expect.every(
      ({ key, version }) => this.#entries.stateOf(key).version === version,
    );
    if (!isAsExpected) return false;
    await this.#keep(set);
    return true;
  }

  async #keep(set: readonly TxnSet[]): Promise<void> {
    const version = this.#entries.lastVersion + 1;
    const changes = set.flatMap(({ key, value, leaseId }): StoredChange[] => {
      if (value === undefined && this.#entries.latestOf(key) === undefined) return [];
      const lease = leaseId === undefined ? undefined : this.#leases.forKey(leaseId, key);
      return [{ key, version, value, lease }];
    });
    if (changes.length === 0) return;
    this.#entries.checkRoom(changes);
    await this.#journal?.write(changes);
    for (const change of changes) this.#apply(change);
  }

  #apply(change: StoredChange): void {
    const { key, version, lease } = change;
    const before = this.#entries.latestOf(key)?.lease;
    this.#entries.apply(change);
    if (before !== undefined) this.#leases.detach(before, key);
    if (lease !== undefined) this.#leases.attach(lease, key);
    for (const watch of [...(this.#watches.get(key) ?? [])]) watch.onChange(version);
  }

  /** In turn. A lease that ended while a key of it was being written ends with that key. */
  async #endLease(leaseId: number): Promise<void> {
    this.#leases.end(leaseId);
    try {
      await this.#keep(this.#leases.keysOf(leaseId).map((key) => ({ key, value: undefined })));
    } catch (thrown) {
      // Nobody else would delete them.
      this.#env.timers.after(retryMs, () => this.#expire(leaseId));
      throw thrown;
    }
    this.#leases.remove(leaseId);
  }

  /** Its time is over. It never throws. */
  #expire(leaseId: number): void {
    const ending = this.#writes.then(async () => {
      if (this.#closing === undefined) await this.#endLease(leaseId);
    });
    this.#writes = ending.catch(() => {}); // It is tried again.
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}

function copyOf({ value, version, asOf }: KeyState): KeyState {
  return { value: value === undefined ? undefined : Uint8Array.from(value), version, asOf };
}
