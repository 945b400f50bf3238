import { resolve } from 'node:path';
import { checkInteger, checkString, invalidArgument } from '../base/check.js';
import type { DurableStore, DurableStoreOptions } from './durable-store.js';
import { openFilesStore } from './files-store.js';
import { openLmdbStore } from './lmdb-store.js';

/** A store that outlives its process, in a folder that no other node uses. */
export type DurableChoice =
  | {
      /** Folder of an LMDB database; needs the package `lmdb`. */
      readonly lmdb: string;
      /** Most that shards take on disk: 1 MiB or more. Default: what the disk holds. */
      readonly sizeLimitBytes?: number;
    }
  | {
      /** Folder of plain files. */
      readonly files: string;
      readonly sizeLimitBytes?: number;
    };

/** Where a node keeps its shards. */
export type StoreChoice = 'memory' | DurableChoice;

const expected = "'memory', { lmdb: path, sizeLimitBytes? } or { files: path, sizeLimitBytes? }";
const pathBytesMax = 4_096;
export const storeLimitBytesMin: number = 1024 * 1024;

/** With an absolute path, since a node may run in another folder. @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function checkStore(store: unknown): StoreChoice {
  if (store === 'memory') return store;
  if (typeof store !== 'object' || store === null) throw invalidArgument('store', expected, store);
  const { lmdb, files, sizeLimitBytes, ...rest } = store as Record<string, unknown>;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined)
    throw invalidArgument('store', `without ${unknown}: ${expected}`, store);
  if ((lmdb === undefined) === (files === undefined))
    throw invalidArgument('store', expected, store);
  const limit =
    sizeLimitBytes === undefined
      ? {}
      : {
          sizeLimitBytes: checkInteger(
            'store.sizeLimitBytes',
            sizeLimitBytes,
            storeLimitBytesMin,
            Number.MAX_SAFE_INTEGER,
          ),
        };
  if (lmdb !== undefined) return { lmdb: checkPath('store.lmdb', lmdb), ...limit };
  return { files: checkPath('store.files', files), ...limit };
}

function checkPath(name: string, path: unknown): string {
  return resolve(checkString(name, path, pathBytesMax));
}

/** @throws PaipaiError as `openLmdbStore` and `openFilesStore` do. */
export function openDurableStore(
  choice: DurableChoice,
  options: Omit<DurableStoreOptions, 'sizeLimitBytes'>,
): Promise<DurableStore> {
  const { sizeLimitBytes } = choice;
  return 'lmdb' in choice
    ? openLmdbStore(choice.lmdb, { ...options, sizeLimitBytes })
    : openFilesStore(choice.files, { ...options, sizeLimitBytes });
}
