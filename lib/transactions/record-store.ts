import type { Clock } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import type { Journal } from '../coordination/local/journal.js';
import { inDoubtListMax, touchedRecordsMax } from './limits.js';
import {
  decodePreparation,
  encodePreparation,
  type InDoubt,
  type Outcome,
  type Preparation,
  type RecordAnswer,
  type RecordVersion,
  type TouchedRecord,
  type Vote,
} from './messages.js';
import { type JournalChange, RecordJournal } from './record-journal.js';

export interface RecordStoreOptions {
  readonly clock: Clock;
  /** Taken over. Without one the records end with the process, and what was promised with them. */
  readonly journal?: Journal | undefined;
}

interface StoredRecord {
  readonly value: Uint8Array;
  readonly version: number;
}

/** A transaction that this node has promised to follow, whatever becomes of it. */
interface Prepared extends Preparation {
  readonly sinceMs: number;
  /** Settles when the promise will outlive the process. */
  keeping: Promise<unknown>;
  /** Settles when its outcome does. */
  finishing: Promise<void> | undefined;
}

/** What is in memory. */
const recordsMax = 1_000_000;
const bytesMax: number = 256 * 1024 * 1024;
const entryBytes = 128;
const preparedMax = 4_096;

const yes: Vote = { kind: 'yes' };

const recordPrefix = 'r/';
const preparedPrefix = 'p/';

/**
 * The records of one node, and its part in transactions. A transaction that is prepared here holds its records until it is finished: nobody else
 * changes what it has read, nor reads or changes what it changes. Nobody waits for a record that is held, so there are no deadlocks: who comes
 * in between is told by whom it is held, and sees to it that those are finished, or tries again.
 *
 * Serialisable, by validation: what a transaction has read is as it was when it is prepared, and stays so until it is decided. So all of it was
 * so at once, at the moment when its last node had prepared it, and that is its place in the order. Records that it changes count as
 * read: therefore a preparation that comes twice, late, finds them changed and is refused.
 */
export class RecordStore {
  readonly #clock: Clock;
  readonly #journal: RecordJournal;
  readonly #records = new Map<string, StoredRecord>();
  readonly #prepared = new Map<string, Prepared>();
  /** Those that hold a record, by its key: one that changes it, or some that have read it. */
  readonly #holders = new Map<string, Set<Prepared>>();
  #bytes = 0;
  /** Of records that are not there: above those of all that ever were. So one that was made and deleted again is not as it was before. */
  #deletedVersion: number;

  /** Fails: PAIPAI_ERR_STORE_FAILED, also when what lies there came to harm. */
  static async open({ clock, journal }: RecordStoreOptions): Promise<RecordStore> {
    const { lastVersion = 0, entries = [] } = (await journal?.read()) ?? {};
    const store = new RecordStore(clock, new RecordJournal(journal, lastVersion), lastVersion);
    for (const { key, value, version } of entries) {
      if (key.startsWith(recordPrefix))
        store.#set(key.slice(recordPrefix.length), { value, version });
      else store.#hold(decodePreparation(value), Promise.resolve());
    }
    return store;
  }

  private constructor(clock: Clock, journal: RecordJournal, deletedVersion: number) {
    this.#clock = clock;
    this.#journal = journal;
    this.#deletedVersion = deletedVersion;
  }

  /** How many there are. */
  get count(): number {
    return this.#records.size;
  }

  /** What the record is now; `blocked` while a transaction that changes it is not decided here. */
  async get(key: string): Promise<RecordAnswer> {
    const reading = [{ key, version: this.#versionOf(key) }];
    await this.#finishing(reading);
    const by = this.#blockers(reading);
    if (by.length > 0) return { kind: 'blocked', by };
    return { kind: 'is', version: this.#versionOf(key), value: this.#records.get(key)?.value };
  }

  /** Whether the records are all as they were read, and no transaction that changes one of them is undecided. */
  async compare(records: readonly RecordVersion[]): Promise<Vote> {
    await this.#finishing(records);
    return this.#compare(records);
  }

  /**
   * Promises to follow what becomes of the transaction. Settles when the promise will be there after a crash.
   * Fails, and promises nothing: PAIPAI_ERR_STORE_FULL, _STORE_FAILED, _OVERLOADED, _CLOSED.
   */
  async prepare(preparation: Preparation): Promise<Vote> {
    const { id, records } = preparation;
    await this.#finishing(records);
    // From here on in one turn, so that nobody comes in between. It may have come twice.
    const known = this.#prepared.get(id);
    const vote = known === undefined ? this.#compare(records) : yes;
    if (vote.kind !== 'yes') return vote;
    await (known ?? this.#promise(preparation)).keeping;
    return yes;
  }

  /**
   * What has become of the transaction; nothing happens when this node knows nothing of it. Settles when its changes will be there after a crash.
   * Fails: PAIPAI_ERR_STORE_FULL, _STORE_FAILED, _CLOSED, and then it is in doubt as before.
   */
  async finish(id: string, outcome: Outcome): Promise<void> {
    const prepared = this.#prepared.get(id);
    if (prepared === undefined) return;
    prepared.finishing ??= this.#finish(prepared, outcome).finally(() => {
      prepared.finishing = undefined;
    });
    await prepared.finishing;
  }

  /** The oldest of those that are prepared and not finished. */
  inDoubt(): InDoubt[] {
    const nowMs = this.#clock.nowMs();
    const oldest = [...this.#prepared.values()].slice(0, inDoubtListMax);
    return oldest.map(({ id, sinceMs }) => ({ id, forMs: nowMs - sinceMs }));
  }

  /** After what is under way. */
  close(): Promise<void> {
    return this.#journal.close();
  }

  #compare(records: readonly TouchedRecord[]): Vote {
    const isSame = records.every(({ key, version }) => this.#versionOf(key) === version);
    // What has changed will not be as it was, whoever holds it now.
    if (!isSame) return { kind: 'changed' };
    const by = this.#blockers(records);
    return by.length > 0 ? { kind: 'blocked', by } : yes;
  }

  /** Ids of the transactions by which the records are held. */
  #blockers(records: readonly TouchedRecord[]): string[] {
    const holders = new Set(records.flatMap((record) => this.#holdersOf(record)));
    return Array.from(holders, ({ id }) => id).slice(0, touchedRecordsMax);
  }

  /** Settles when those have ended by which the records are held, and which are being finished: they take no longer than a write. */
  async #finishing(records: readonly TouchedRecord[]): Promise<void> {
    const holders = records.flatMap((record) => this.#holdersOf(record));
    await Promise.all(holders.map(({ finishing }) => finishing));
  }

  #holdersOf({ key, change }: TouchedRecord): Prepared[] {
    const holders = [...(this.#holders.get(key) ?? [])];
    return change === undefined ? holders.filter((holder) => changes(holder, key)) : holders;
  }

  #promise(preparation: Preparation): Prepared {
    const { id, records } = preparation;
    const bytes = encodePreparation(preparation);
    this.#checkRoom(preparation, bytes.byteLength);
    const change = { key: preparedPrefix + id, value: bytes };
    const keeping = this.#journal.write([change]);
    const prepared = this.#hold({ id, records }, keeping);
    keeping.catch(() => this.#release(prepared));
    return prepared;
  }

  async #finish(prepared: Prepared, outcome: Outcome): Promise<void> {
    const { id, records, keeping } = prepared;
    await keeping;
    const changed = records.flatMap(({ key, change }) =>
      change === undefined || outcome === 'aborted' ? [] : [{ key, value: change.value }],
    );
    const changes: JournalChange[] = changed
      // A deletion of what is not there leaves no trace.
      .filter(({ key, value }) => value !== undefined || this.#records.has(key))
      .map(({ key, value }) => ({ key: recordPrefix + key, value }));
    const version = await this.#journal.write([
      ...changes,
      { key: preparedPrefix + id, value: undefined },
    ]);
    for (const { key, value } of changed) {
      if (value === undefined) this.#deletedVersion = version;
      this.#set(key, value === undefined ? undefined : { value, version });
    }
    this.#release(prepared);
  }

  #hold({ id, records }: Preparation, keeping: Promise<unknown>): Prepared {
    const sinceMs = this.#clock.nowMs();
    const prepared: Prepared = { id, records, sinceMs, keeping, finishing: undefined };
    this.#prepared.set(id, prepared);
    for (const { key } of records) {
      const holders = this.#holders.get(key);
      if (holders === undefined) this.#holders.set(key, new Set([prepared]));
      else holders.add(prepared);
    }
    return prepared;
  }

  #release(prepared: Prepared): void {
    this.#prepared.delete(prepared.id);
    for (const { key } of prepared.records) {
      const holders = this.#holders.get(key);
      holders?.delete(prepared);
      if (holders?.size === 0) this.#holders.delete(key);
    }
  }

  #versionOf(key: string): number {
    return this.#records.get(key)?.version ?? this.#deletedVersion;
  }

  #set(key: string, record: StoredRecord | undefined): void {
    const before = this.#records.get(key);
    if (before !== undefined) this.#bytes -= bytesOf(key, before);
    if (record === undefined) {
      this.#records.delete(key);
      return;
    }
    this.#records.set(key, record);
    this.#bytes += bytesOf(key, record);
  }

  /** @throws PaipaiError PAIPAI_ERR_STORE_FULL, _OVERLOADED. */
  #checkRoom({ records }: Preparation, bytes: number): void {
    if (this.#prepared.size >= preparedMax) {
      throw new PaipaiError(
        'PAIPAI_ERR_OVERLOADED',
        `${preparedMax} transactions are prepared here and not finished`,
      );
    }
    const isMore = records.some(({ change }) => change?.value !== undefined);
    const isFull = this.#records.size >= recordsMax || this.#bytes + bytes > bytesMax;
    if (!isMore || !isFull) return;
    throw new PaipaiError(
      'PAIPAI_ERR_STORE_FULL',
      `a node keeps at most ${recordsMax} records of together ${bytesMax} bytes`,
    );
  }
}

function changes({ records }: Preparation, key: string): boolean {
  return records.some((record) => record.key === key && record.change !== undefined);
}

function bytesOf(key: string, { value }: StoredRecord): number {
  return key.length * 2 + value.byteLength + entryBytes;
}
