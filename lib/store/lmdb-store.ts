import { statfs } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Database, RootDatabase } from 'lmdb';
import { PaipaiError, toError } from '../base/errors.js';
import { DurableStore, type DurableStoreOptions } from './durable-store.js';
import type { Change, Found, Medium } from './medium.js';
import { decodeRecord, encodeKey, encodeRecord } from './shard-record.js';
import type { ShardKey } from './store.js';
import { storeFailed } from './store-errors.js';
import { openStoreFolder } from './store-folder.js';
import type { StoreLock } from './store-lock.js';

type Lmdb = typeof import('lmdb');

/** What a write may take beside its content: pages of the trees that lead to it. */
const spareBytes = 1024 * 1024;

/**
 * A store in LMDB: records in one tree, content in another, both changed by one transaction, which is synced before it is confirmed.
 * @param path of a folder, made where there is none
 * @param loadLmdb for tests
 * @throws PaipaiError PAIPAI_ERR_STORE_IN_USE, _STORE_FORMAT, _STORE_FULL, _INVALID_ARGUMENT; PAIPAI_ERR_STORE_FAILED, also when the package
 * lmdb is not installed.
 */
export async function openLmdbStore(
  path: string,
  options: DurableStoreOptions = {},
  loadLmdb: () => Promise<Lmdb> = () => import('lmdb'),
): Promise<DurableStore> {
  const folder = resolve(path);
  try {
    const lmdb = await loadLmdb().catch(lmdbMissing);
    return await DurableStore.open(await openMedium(lmdb, folder), options);
  } catch (thrown) {
    throw storeFailed(`the store in ${folder} cannot be opened`, thrown);
  }
}

function lmdbMissing(thrown: unknown): never {
  throw new PaipaiError(
    'PAIPAI_ERR_STORE_FAILED',
    `a store in LMDB needs the package lmdb, which cannot be loaded (${toError(thrown).message}): run npm install lmdb`,
    { cause: thrown },
  );
}

async function openMedium({ open }: Lmdb, folder: string): Promise<LmdbMedium> {
  const lock = await openStoreFolder(folder, 'lmdb');
  try {
    const root = open({
      path: folder,
      // A commit is synced when it settles, not some time later.
      overlappingSync: false,
      // Else the package puts transactions together by itself, and nobody can catch the failure of those.
      eventTurnBatching: false,
    });
    return new LmdbMedium(folder, root, lock);
  } catch (thrown) {
    await lock.release();
    throw thrown;
  }
}

class LmdbMedium implements Medium {
  readonly #folder: string;
  readonly #lock: StoreLock;
  readonly #root: RootDatabase;
  readonly #records: Database<Buffer, Buffer>;
  readonly #contents: Database<Buffer, Buffer>;

  constructor(folder: string, root: RootDatabase, lock: StoreLock) {
    this.#folder = folder;
    this.#root = root;
    this.#lock = lock;
    this.#records = root.openDB('records', { encoding: 'binary', keyEncoding: 'binary' });
    this.#contents = root.openDB('contents', { encoding: 'binary', keyEncoding: 'binary' });
  }

  async load(): Promise<Found> {
    const found = Array.from(this.#records.getRange({}), ({ value }) => decodeRecord(value));
    const shards = found.filter((shard) => shard !== undefined);
    return { shards, damaged: found.length - shards.length };
  }

  async write(changes: readonly Change[]): Promise<(Error | undefined)[]> {
    const error = await this.#transact(changes);
    if (error === undefined || changes.length === 1) return changes.map(() => error);
    // One that does not fit must not keep the others away, drops least of all.
    const errors: (Error | undefined)[] = [];
    for (const change of changes) errors.push(await this.#transact([change]));
    return errors;
  }

  read(key: ShardKey, into: Uint8Array): boolean {
    // Not getBinaryFast: its buffer is longer than the value, and says so only to those who ask for `length`.
    const content = this.#contents.getBinary(encodeKey(key));
    if (content?.length !== into.length) return false;
    into.set(content);
    return true;
  }

  async close(): Promise<void> {
    await this.#root.close();
    await this.#lock.release();
  }

  /** All of the changes or none. */
  async #transact(changes: readonly Change[]): Promise<PaipaiError | undefined> {
    const neededBytes = changes.reduce((sum, change) => sum + bytesOf(change), spareBytes);
    const promises: Promise<boolean>[] = [];
    promises.push(
      this.#root.batch(() => {
        for (const change of changes) promises.push(...this.#enter(change));
      }),
    );
    const results = await Promise.allSettled(promises);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return undefined;
    const cause = await causeOf(failed.reason);
    // LMDB does not tell a write that the disk cut short from one that it refused.
    if ((await this.#freeBytes()) < neededBytes) {
      return this.#full(neededBytes, cause);
    }
    return storeFailed(`the store in ${this.#folder} cannot be written`, cause);
  }

  #enter(change: Change): Promise<boolean>[] {
    if (change.kind === 'drop') {
      const key = encodeKey(change.key);
      return [this.#records.remove(key), this.#contents.remove(key)];
    }
    const { shard, content } = change;
    const key = encodeKey(shard.key);
    // A copy, since lmdb 3.5.6 crashes on bytes that are backed by a SharedArrayBuffer.
    return [
      this.#records.put(key, encodeRecord(shard)),
      this.#contents.put(key, Buffer.from(content)),
    ];
  }

  async #freeBytes(): Promise<number> {
    try {
      const { bavail, bsize } = await statfs(this.#folder);
      return bavail * bsize;
    } catch {
      return Infinity; // Whatever is wrong then, it is not known to be want of room.
    }
  }

  #full(neededBytes: number, cause: unknown): PaipaiError {
    return new PaipaiError(
      'PAIPAI_ERR_STORE_FULL',
      `the disk of the store in ${this.#folder} has no room for ${neededBytes} bytes: make room, or drop data`,
      { cause },
    );
  }
}

function bytesOf(change: Change): number {
  return change.kind === 'put' ? change.content.length : 0;
}

/** The package gives its own reason as a promise beside the error. */
async function causeOf(thrown: unknown): Promise<unknown> {
  const { commitError } = thrown as { commitError?: Promise<never> };
  return commitError === undefined ? thrown : commitError.catch((cause: unknown) => cause);
}
