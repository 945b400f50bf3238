import { PaipaiError } from '../../base/errors.js';
import { ByteReader, ByteWriter, MalformedMessage } from '../../wire/byte-cursor.js';
import type { CheckedTxn } from '../check.js';
import { type Change, type KeyVersion, keyBytesMax, valueBytesMax } from '../coordinator.js';
import { malformed } from '../messages.js';
import { type Ballot, compareBallots, isSameBallot, readBallot, writeBallot } from './ballot.js';
import { type Members, readMembers, writeMembers } from './members.js';
import { acceptorMethod, tableBytesMax } from './messages.js';

/** What a key holds, and the lease that it goes with; 0: none. */
export interface TableEntry {
  readonly value: Uint8Array;
  readonly version: number;
  readonly leaseId: number;
}

export interface TableLease {
  readonly ttlMs: number;
  /** How often it was kept alive: whoever sees the same number for `ttlMs` may end it. */
  readonly keeps: number;
}

/** The latest changes, for watches of other nodes. */
const historyCountMax = 256;
const historyBytesMax = 256 * 1024;
/** The table travels whole with every change; so it must be small. */
const leasesMax = 1_000;
const entryBytes = 32;

interface TableParts {
  readonly members: Members;
  readonly version: number;
  readonly entries?: ReadonlyMap<string, TableEntry>;
  readonly leases?: ReadonlyMap<number, TableLease>;
  readonly history?: readonly Change[];
  readonly historyStart?: number;
  readonly lineage?: readonly Ballot[];
}

/** So many of the latest proposals are remembered: nobody asks for one that is older. */
const lineageMax = 16;

/**
 * Everything that a quorum agrees on, as one value: each change makes another one, and this one stays as it is.
 */
export class Table {
  readonly members: Members;
  /** Of the latest change. */
  readonly version: number;
  readonly entries: ReadonlyMap<string, TableEntry>;
  readonly leases: ReadonlyMap<number, TableLease>;
  /** Oldest first: all with versions above `historyStart`. */
  readonly history: readonly Change[];
  readonly historyStart: number;
  /** The ballots of the latest proposals that have made it what it is, oldest first. */
  readonly lineage: readonly Ballot[];

  constructor(parts: TableParts) {
    this.members = parts.members;
    this.version = parts.version;
    this.entries = parts.entries ?? new Map();
    this.leases = parts.leases ?? new Map();
    this.history = parts.history ?? [];
    this.historyStart = parts.historyStart ?? parts.version;
    this.lineage = parts.lineage ?? [];
  }

  /** As it is proposed. */
  under(ballot: Ballot): Table {
    return this.#next({ lineage: [...this.lineage, ballot].slice(-lineageMax) });
  }

  /** Whether what was proposed under that ballot is a part of it; undefined when that is too long ago. */
  descendsFrom(ballot: Ballot): boolean | undefined {
    if (this.lineage.some((one) => isSameBallot(one, ballot))) return true;
    const [oldest] = this.lineage;
    const isCovered =
      this.lineage.length < lineageMax || compareBallots(oldest as Ballot, ballot) < 0;
    return isCovered ? false : undefined;
  }

  versionOf(key: string): number {
    return this.entries.get(key)?.version ?? 0;
  }

  isAsExpected(expect: readonly KeyVersion[]): boolean {
    return expect.every(({ key, version }) => this.versionOf(key) === version);
  }

  /**
   * With the changes, which have the next version; itself when nothing changes.
   * @throws PaipaiError PAIPAI_ERR_LEASE_LOST; PAIPAI_ERR_STORE_FULL.
   */
  with(set: CheckedTxn['set']): Table {
    const version = this.version + 1;
    const entries = new Map(this.entries);
    const changes: Change[] = [];
    for (const { key, value, leaseId = 0 } of set) {
      if (value === undefined) {
        if (entries.delete(key)) changes.push({ key, version, value });
        continue;
      }
      if (leaseId !== 0 && !this.leases.has(leaseId)) throw lost(leaseId);
      entries.set(key, { value, version, leaseId });
      changes.push({ key, version, value });
    }
    if (changes.length === 0) return this;
    return this.#next({ ...this.#withHistory(changes), version, entries });
  }

  /** @throws PaipaiError PAIPAI_ERR_OVERLOADED. */
  withLease(leaseId: number, ttlMs: number): Table {
    if (this.leases.size >= leasesMax) {
      throw new PaipaiError('PAIPAI_ERR_OVERLOADED', `there are ${leasesMax} leases already`);
    }
    return this.#next({ leases: new Map(this.leases).set(leaseId, { ttlMs, keeps: 0 }) });
  }

  /** @throws PaipaiError PAIPAI_ERR_LEASE_LOST. */
  withKept(leaseId: number): Table {
    const lease = this.leases.get(leaseId);
    if (lease === undefined) throw lost(leaseId);
    const kept = { ...lease, keeps: lease.keeps + 1 };
    return this.#next({ leases: new Map(this.leases).set(leaseId, kept) });
  }

  /** Without the lease and its keys; itself when it is over. */
  without(leaseId: number): Table {
    if (!this.leases.has(leaseId)) return this;
    const keys = [...this.entries].filter(([, entry]) => entry.leaseId === leaseId);
    const emptied = this.with(keys.map(([key]) => ({ key, value: undefined })));
    const leases = new Map(this.leases);
    leases.delete(leaseId);
    return emptied.#next({ leases });
  }

  /** Itself when they are the same. */
  withMembers(members: Members): Table {
    return members === this.members ? this : this.#next({ members });
  }

  encode(): Uint8Array {
    const writer = writeMembers(new ByteWriter(), this.members);
    writer.integer(this.version).integer(this.historyStart).u32(this.leases.size);
    for (const [leaseId, { ttlMs, keeps }] of this.leases) {
      writer.integer(leaseId).u32(ttlMs).integer(keeps);
    }
    writer.u8(this.lineage.length);
    for (const ballot of this.lineage) writeBallot(writer, ballot);
    const entries = Array.from(this.entries, ([key, entry]) => encodedEntry(key, entry));
    const changes = this.history.map(encodedChange);
    const pieces = [writer.u32(entries.length).finish(), ...entries];
    const count = new ByteWriter().u32(changes.length).finish();
    return Buffer.concat([...pieces, count, ...changes]);
  }

  /** @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
  static decode(bytes: Uint8Array): Table {
    const reader = new ByteReader(bytes);
    try {
      const table = readTable(reader);
      if (reader.isAtEnd) return table;
      throw new MalformedMessage('bytes follow its table');
    } catch (thrown) {
      if (thrown instanceof MalformedMessage) throw malformed(acceptorMethod, thrown.message);
      throw thrown;
    }
  }

  /** @throws PaipaiError PAIPAI_ERR_STORE_FULL. */
  #next(parts: Partial<TableParts>): Table {
    const next = new Table({ ...this, ...parts });
    if (next.entries !== this.entries && next.#bytes() > tableBytesMax / 2) throw full();
    return next;
  }

  /** Of the entries, roughly; history and leases have room beside them. */
  #bytes(): number {
    let sum = 0;
    for (const [key, { value }] of this.entries)
      sum += key.length * 3 + value.byteLength + entryBytes;
    return sum;
  }

  #withHistory(changes: readonly Change[]): { history: Change[]; historyStart: number } {
    const history = [...this.history, ...changes];
    let byteCount = history.reduce((sum, change) => sum + bytesOf(change), 0);
    let { historyStart } = this;
    while (history.length > historyCountMax || byteCount > historyBytesMax) {
      const oldest = history.shift() as Change; // Whatever is over a limit has one.
      byteCount -= bytesOf(oldest);
      historyStart = oldest.version;
    }
    // Of a version of which a part is gone, all is.
    while (history[0]?.version === historyStart) history.shift();
    return { history, historyStart };
  }
}

/** Of what is there, each of which travels with every change from then on, and stays as it is. */
const encoded = new WeakMap<TableEntry | Change, Uint8Array>();

function encodedEntry(key: string, entry: TableEntry): Uint8Array {
  const known = encoded.get(entry);
  if (known !== undefined) return known;
  const { value, version, leaseId } = entry;
  const writer = new ByteWriter().integer(version).integer(leaseId).longText(key);
  const bytes = writer.u32(value.byteLength).bytes(value).finish();
  encoded.set(entry, bytes);
  return bytes;
}

function encodedChange(change: Change): Uint8Array {
  const known = encoded.get(change);
  if (known !== undefined) return known;
  const { key, version, value } = change;
  const writer = new ByteWriter().integer(version).longText(key);
  writer.u8(value === undefined ? 0 : 1);
  if (value !== undefined) writer.u32(value.byteLength).bytes(value);
  const bytes = writer.finish();
  encoded.set(change, bytes);
  return bytes;
}

function bytesOf({ key, value }: Change): number {
  return key.length * 3 + (value?.byteLength ?? 0) + entryBytes;
}

/** Those of an encoded table, without looking at the rest. @throws PaipaiError PAIPAI_ERR_PROTOCOL. */
export function leasesIn(bytes: Uint8Array): ReadonlyMap<number, TableLease> {
  try {
    return readHead(new ByteReader(bytes)).leases;
  } catch (thrown) {
    if (thrown instanceof MalformedMessage) throw malformed(acceptorMethod, thrown.message);
    throw thrown;
  }
}

function readHead(reader: ByteReader) {
  const members = readMembers(reader);
  const [version, historyStart] = [reader.integer(), reader.integer()];
  const leases = new Map<number, TableLease>();
  for (let left = reader.u32(); left > 0; left--) {
    leases.set(reader.integer(), { ttlMs: reader.u32(), keeps: reader.integer() });
  }
  return { members, version, historyStart, leases };
}

function readTable(reader: ByteReader): Table {
  const head = readHead(reader);
  const lineage = Array.from({ length: reader.u8() }, () => readBallot(reader));
  const entries = new Map<string, TableEntry>();
  for (let left = reader.u32(); left > 0; left--) {
    const [version, leaseId] = [reader.integer(), reader.integer()];
    const key = readKey(reader);
    entries.set(key, { version, leaseId, value: readValue(reader) });
  }
  const history: Change[] = [];
  for (let left = reader.u32(); left > 0; left--) {
    const version = reader.integer();
    const key = readKey(reader);
    history.push({ key, version, value: reader.u8() === 1 ? readValue(reader) : undefined });
  }
  return new Table({ ...head, lineage, entries, history });
}

function readKey(reader: ByteReader): string {
  return reader.textOf(reader.u16(), 1, keyBytesMax);
}

function readValue(reader: ByteReader): Uint8Array {
  const byteCount = reader.u32();
  if (byteCount > valueBytesMax) throw new MalformedMessage(`it has a value of ${byteCount} bytes`);
  return reader.bytes(byteCount);
}

function lost(leaseId: number): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_LEASE_LOST', `lease ${leaseId} is over, or never was`);
}

function full(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_STORE_FULL',
    `the table of a quorum holds at most ${tableBytesMax / 2} bytes, because it travels whole with every change: delete keys, or take an etcd`,
  );
}
