import { PaipaiError } from '../../base/errors.js';
import type { KeyList, KeyState } from '../coordinator.js';
import type { StoredChange } from './journal.js';

export interface EntryLimits {
  /** Of all keys and values, and 128 for each key. */
  readonly bytesMax: number;
  /** Changes that are kept for watches: so many, and so many bytes of them. */
  readonly historyCountMax: number;
  readonly historyBytesMax: number;
}

/** What an entry takes beside its key and value, roughly. */
const entryBytes = 128;

interface Entry {
  latest: StoredChange;
  /** Its changes that are still kept, oldest first. */
  readonly kept: StoredChange[];
  /** Of the latest change that is not kept any more, or that may have been before the entry was made; 0 when there was none. */
  goneVersion: number;
}

/**
 * Keys, values and the latest changes. The changes of all keys stand in one row; what goes over the limits leaves at its old
 * end, and a deleted key is forgotten with the last of its changes:
 *
 *     gone  │ a=1  b=1  a=2  c=1  a=∅  │ next
 *           └ forgotten ≤ here         └ lastVersion
 */
export class Entries {
  readonly #limits: EntryLimits;
  readonly #entries = new Map<string, Entry>();
  /** From `#historyStart` on, those of all keys that are kept. */
  #history: StoredChange[] = [];
  #historyStart = 0;
  #historyBytes = 0;
  #bytes = 0;
  #lastVersion = 0;
  /** Of the latest deletion that nobody remembers. A key without an entry had its last change here at the latest. */
  #forgottenVersion = 0;

  constructor(limits: EntryLimits) {
    this.#limits = limits;
  }

  get lastVersion(): number {
    return this.#lastVersion;
  }

  /** Takes up where another life ended, of whose changes none is kept. */
  restore(lastVersion: number, changes: Iterable<StoredChange>): void {
    for (const change of changes) {
      this.#entries.set(change.key, { latest: change, kept: [], goneVersion: change.version });
      this.#bytes += liveBytesOf(change);
    }
    this.#lastVersion = lastVersion;
    this.#forgottenVersion = lastVersion;
  }

  /** The bytes are those of the entry: copy them before you hand them out. */
  stateOf(key: string): KeyState {
    const latest = this.#entries.get(key)?.latest;
    if (latest === undefined) return { value: undefined, version: 0, asOf: this.#forgottenVersion };
    const { value, version } = latest;
    return { value, version: value === undefined ? 0 : version, asOf: version };
  }

  /** What the key holds, with its lease; undefined when there is none. */
  latestOf(key: string): StoredChange | undefined {
    const latest = this.#entries.get(key)?.latest;
    return latest?.value === undefined ? undefined : latest;
  }

  /** Those that hold a value, by the order of their bytes. */
  list(prefix: string, after: string | undefined, limit: number): KeyList {
    const from = after === undefined ? undefined : Buffer.from(after);
    const found: { key: string; version: number; bytes: Buffer }[] = [];
    for (const { latest } of this.#entries.values()) {
      const { key, version, value } = latest;
      if (value === undefined || !key.startsWith(prefix)) continue;
      const bytes = Buffer.from(key);
      if (from === undefined || Buffer.compare(bytes, from) > 0)
        found.push({ key, version, bytes });
    }
    found.sort((one, other) => Buffer.compare(one.bytes, other.bytes));
    const keys = found.slice(0, limit).map(({ key, version }) => ({ key, version }));
    return { keys, isComplete: found.length <= limit };
  }

  /** @throws PaipaiError PAIPAI_ERR_STORE_FULL when the changes, of different keys, would not fit. */
  checkRoom(changes: readonly StoredChange[]): void {
    const { bytesMax } = this.#limits;
    const added = changes.reduce(
      (sum, change) =>
        sum + liveBytesOf(change) - liveBytesOf(this.#entries.get(change.key)?.latest),
      0,
    );
    // Changes that free bytes are always welcome.
    if (added <= 0 || this.#bytes + added <= bytesMax) return;
    throw new PaipaiError(
      'PAIPAI_ERR_STORE_FULL',
      `no room for ${added} bytes more: the coordinator holds ${this.#bytes} of at most ${bytesMax}. Delete keys, or raise the limit.`,
    );
  }

  /** @param change with a version above all before it */
  apply(change: StoredChange): void {
    const entry = this.#entries.get(change.key);
    if (entry === undefined) {
      this.#entries.set(change.key, {
        latest: change,
        kept: [change],
        goneVersion: this.#forgottenVersion,
      });
    } else {
      this.#bytes -= liveBytesOf(entry.latest);
      entry.latest = change;
      entry.kept.push(change);
    }
    this.#bytes += liveBytesOf(change);
    this.#lastVersion = change.version;
    this.#history.push(change);
    this.#historyBytes += bytesOf(change);
    this.#trim();
  }

  /**
   * The first change of the key with a version above `after`, if there is one.
   * @throws PaipaiError PAIPAI_ERR_HISTORY_GONE when there may have been one that is not kept any more.
   */
  changeAfter(key: string, after: number): StoredChange | undefined {
    const entry = this.#entries.get(key);
    const goneVersion = entry?.goneVersion ?? this.#forgottenVersion;
    if (after < goneVersion) {
      throw new PaipaiError(
        'PAIPAI_ERR_HISTORY_GONE',
        `changes of key ${JSON.stringify(key)} after version ${after} are not all kept: those up to ${goneVersion} are gone`,
      );
    }
    return entry === undefined ? undefined : firstAfter(entry.kept, after);
  }

  #trim(): void {
    const { historyCountMax, historyBytesMax } = this.#limits;
    while (
      this.#history.length - this.#historyStart > historyCountMax ||
      this.#historyBytes > historyBytesMax
    ) {
      this.#forgetOldest();
    }
    // The gone half is cut off now and then: at each change it would cost the length of the rest.
    if (this.#historyStart * 2 > this.#history.length) {
      this.#history = this.#history.slice(this.#historyStart);
      this.#historyStart = 0;
    }
  }

  #forgetOldest(): void {
    const oldest = this.#history[this.#historyStart++] as StoredChange; // Whatever is over a limit has one.
    this.#historyBytes -= bytesOf(oldest);
    const entry = this.#entries.get(oldest.key) as Entry; // It has a change that is kept.
    entry.kept.shift();
    entry.goneVersion = oldest.version;
    if (entry.latest !== oldest || oldest.value !== undefined) return;
    this.#entries.delete(oldest.key);
    this.#forgottenVersion = oldest.version;
  }
}

function bytesOf({ key, value }: StoredChange): number {
  return Buffer.byteLength(key) + (value?.byteLength ?? 0) + entryBytes;
}

/** What a change takes as the latest of its key: a deletion nothing, it goes with the history. */
function liveBytesOf(change: StoredChange | undefined): number {
  return change?.value === undefined ? 0 : bytesOf(change);
}

function firstAfter(changes: readonly StoredChange[], version: number): StoredChange | undefined {
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((changes[middle] as StoredChange).version > version) high = middle;
    else low = middle + 1;
  }
  return changes[low];
}
