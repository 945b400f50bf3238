import { checkInteger } from '../../base/check.js';
import type { Env } from '../../base/env.js';
import { PaipaiError } from '../../base/errors.js';
import { bounded } from '../call.js';
import {
  checkCallOptions,
  checkKey,
  checkVersion,
  checkWatchOptions,
  copyOfValue,
} from '../check.js';
import {
  type CallOptions,
  type Change,
  type CompareAndSetResult,
  type Coordinator,
  type KeyState,
  valueBytesMax,
  type Watch,
  type WatchOptions,
} from '../coordinator.js';
import { Entries } from './entries.js';
import type { Journal } from './journal.js';
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

/** A coordinator in the memory of one process, whose changes a journal may keep: what a node serves to its peers, also in simulations. */
export class LocalCoordinator implements Coordinator {
  readonly #env: Pick<Env, 'timers'>;
  readonly #journal: Journal | undefined;
  readonly #entries: Entries;
  readonly #watches = new Map<string, Set<LocalWatch>>();
  /** Settles with the last write there is; writes go one by one, so that each is compared with what the one before it left. */
  #writes: Promise<unknown> = Promise.resolve();
  #writesWaiting = 0;
  #closing: Promise<void> | undefined;

  private constructor(env: Pick<Env, 'timers'>, options: LocalCoordinatorOptions) {
    const {
      bytesMax = 64 * mebibyte,
      historyCountMax = 10_000,
      historyBytesMax = 16 * mebibyte,
    } = options;
    const largest = Number.MAX_SAFE_INTEGER;
    this.#env = env;
    this.#journal = options.journal;
    this.#entries = new Entries({
      bytesMax: checkInteger('bytesMax', bytesMax, bytesLeast, largest),
      historyCountMax: checkInteger('historyCountMax', historyCountMax, 1, largest),
      historyBytesMax: checkInteger('historyBytesMax', historyBytesMax, bytesLeast, largest),
    });
  }

  /** Fails: PAIPAI_ERR_INVALID_ARGUMENT, and what the journal fails with. */
  static async open(
    env: Pick<Env, 'timers'>,
    options: LocalCoordinatorOptions = {},
  ): Promise<LocalCoordinator> {
    const coordinator = new LocalCoordinator(env, options);
    const startVersion = checkVersion('startVersion', options.startVersion ?? 0);
    const kept = await options.journal?.read();
    const { lastVersion = 0, entries = [] } = kept ?? {};
    coordinator.#entries.restore(Math.max(startVersion, lastVersion), entries);
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

  async compareAndSet(
    key: string,
    expectedVersion: number,
    value: Uint8Array | undefined,
    options: CallOptions = {},
  ): Promise<CompareAndSetResult> {
    checkKey(key);
    checkVersion('expectedVersion', expectedVersion);
    const bytes = copyOfValue(value, expectedVersion);
    const what = `compareAndSet of key ${JSON.stringify(key)}`;
    return bounded(this.#env.timers, what, checkCallOptions(options), (isGivenUp) =>
      this.#inTurn(async () => {
        // Whoever has given up hears nothing of the answer, so that nothing needs to be written either.
        const isSet = !isGivenUp() && (await this.#write(key, expectedVersion, bytes));
        return { isSet, ...copyOf(this.#entries.stateOf(key)) };
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

  /** Whether it was set. Readers see the change, and watches are told of it, when it is kept. */
  async #write(
    key: string,
    expectedVersion: number,
    value: Uint8Array | undefined,
  ): Promise<boolean> {
    if (this.#entries.stateOf(key).version !== expectedVersion) return false;
    const change: Change = { key, version: this.#entries.lastVersion + 1, value };
    this.#entries.checkRoom(change);
    await this.#journal?.write(change);
    this.#entries.apply(change);
    for (const watch of [...(this.#watches.get(key) ?? [])]) watch.onChange(change.version);
    return true;
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}

function closedError(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_CLOSED', 'the coordinator is closed');
}

function copyOf({ value, version, asOf }: KeyState): KeyState {
  return { value: value === undefined ? undefined : Uint8Array.from(value), version, asOf };
}
