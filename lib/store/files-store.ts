import { createHash } from 'node:crypto';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { makeFolder, removeTemporaries, syncFolder, writeTemporary } from './disk.js';
import { DurableStore, type DurableStoreOptions } from './durable-store.js';
import type { Change, Found, Medium } from './medium.js';
import { decodeRecord, encodeKey, encodeRecord, recordBytes } from './shard-record.js';
import type { ShardKey, StoredShard } from './store.js';
import { isMissing, storeFailed } from './store-errors.js';
import { openStoreFolder } from './store-folder.js';
import type { StoreLock } from './store-lock.js';

/** More at once help no disk, and each takes a descriptor. */
const filesAtOnce = 32;
const shardEnding = '.shard';

/**
 * A store of plain files: one for each shard, its record in front of the content. A shard is written beside its place, synced, and renamed into
 * it; when the folder is synced too the shard is confirmed.
 * @param path of a folder, made where there is none
 * @throws PaipaiError PAIPAI_ERR_STORE_IN_USE, _STORE_FORMAT, _STORE_FAILED, _STORE_FULL, _INVALID_ARGUMENT.
 */
export async function openFilesStore(
  path: string,
  options: DurableStoreOptions = {},
): Promise<DurableStore> {
  const folder = resolve(path);
  return DurableStore.open(await openMedium(folder), options).catch((thrown: unknown) => {
    throw storeFailed(`the store in ${folder} cannot be opened`, thrown);
  });
}

async function openMedium(folder: string): Promise<FilesMedium> {
  try {
    const lock = await openStoreFolder(folder, 'files');
    return new FilesMedium(join(folder, 'shards'), lock);
  } catch (thrown) {
    throw storeFailed(`the store in ${folder} cannot be opened`, thrown);
  }
}

class FilesMedium implements Medium {
  readonly #folder: string;
  readonly #lock: StoreLock;

  constructor(folder: string, lock: StoreLock) {
    this.#folder = folder;
    this.#lock = lock;
  }

  async load(): Promise<Found> {
    await makeFolder(this.#folder);
    await removeTemporaries(this.#folder);
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith(shardEnding));
    const found = await inGroups(names, (name) => this.#loadOne(name));
    const shards = found.filter((shard) => shard !== undefined);
    return { shards, damaged: found.length - shards.length };
  }

  async write(changes: readonly Change[]): Promise<(Error | undefined)[]> {
    // The long part, the content, side by side; then the names, in the order of the changes.
    const written = await inGroups(changes, (change) => this.#writeContent(change));
    const errors: (Error | undefined)[] = [];
    for (const [at, change] of changes.entries()) {
      const path = written[at];
      errors.push(path instanceof Error ? path : await this.#apply(change, path));
    }
    try {
      await syncFolder(this.#folder);
      return errors;
    } catch (thrown) {
      const failed = storeFailed('the folder of the store cannot be synced', thrown);
      return errors.map((error) => error ?? failed);
    }
  }

  async read(key: ShardKey, into: Uint8Array): Promise<boolean> {
    try {
      const file = await open(this.#pathOf(key), 'r');
      try {
        if ((await file.stat()).size !== recordBytes + into.length) return false;
        let filled = 0;
        while (filled < into.length) {
          const at = recordBytes + filled;
          const { bytesRead } = await file.read(into, filled, into.length - filled, at);
          if (bytesRead === 0) return false;
          filled += bytesRead;
        }
        return true;
      } finally {
        await file.close();
      }
    } catch (thrown) {
      if (isMissing(thrown)) return false;
      throw storeFailed(`shard ${key.index} of data ${key.dataId} cannot be read`, thrown);
    }
  }

  close(): Promise<void> {
    return this.#lock.release();
  }

  /** Undefined when the record is damaged. The file stays: whoever puts that shard again replaces it. */
  async #loadOne(name: string): Promise<StoredShard | undefined> {
    const file = await open(join(this.#folder, name), 'r');
    try {
      const record = Buffer.alloc(recordBytes);
      const { bytesRead } = await file.read(record, 0, recordBytes, 0);
      const shard = decodeRecord(record.subarray(0, bytesRead));
      return shard !== undefined && nameOf(shard.key) === name ? shard : undefined;
    } finally {
      await file.close();
    }
  }

  /** The path of the content that is not in its place yet, undefined for a drop. */
  async #writeContent(change: Change): Promise<string | Error | undefined> {
    if (change.kind === 'drop') return undefined;
    const { shard, content } = change;
    try {
      return await writeTemporary(this.#folder, [encodeRecord(shard), content]);
    } catch (thrown) {
      const { dataId, index } = shard.key;
      return storeFailed(`shard ${index} of data ${dataId} cannot be stored`, thrown);
    }
  }

  async #apply(change: Change, temporary: string | undefined): Promise<Error | undefined> {
    try {
      if (change.kind === 'drop') await rm(this.#pathOf(change.key), { force: true });
      else if (temporary !== undefined) await rename(temporary, this.#pathOf(change.shard.key));
      return undefined;
    } catch (thrown) {
      if (temporary !== undefined) await rm(temporary, { force: true }).catch(() => {}); // Removed when the store is opened again.
      return storeFailed('the store cannot be changed', thrown);
    }
  }

  #pathOf(key: ShardKey): string {
    return join(this.#folder, nameOf(key));
  }
}

/** Ids may be longer than names, and hold what names must not. */
function nameOf(key: ShardKey): string {
  return createHash('sha256').update(encodeKey(key)).digest('hex') + shardEnding;
}

async function inGroups<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let at = 0; at < items.length; at += filesAtOnce) {
    results.push(...(await Promise.all(items.slice(at, at + filesAtOnce).map(work))));
  }
  return results;
}
