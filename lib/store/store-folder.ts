import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PaipaiError } from '../base/errors.js';
import { makeFolder, removeTemporaries, replaceFile } from './disk.js';
import { isMissing } from './store-errors.js';
import { lockFolder, lockNameStart, type StoreLock } from './store-lock.js';

/** The folder of a durable store: who holds it, and what wrote it. */

export type StoreKind = 'lmdb' | 'files';

/** Raised when what lies in the folder changes so that an older release would misread it. */
export const formatVersion = 1;

const formatName = 'format.json';

/**
 * Makes the folder where there is none, and holds it until `release`.
 * @throws PaipaiError PAIPAI_ERR_STORE_IN_USE, PAIPAI_ERR_STORE_FORMAT; a system error.
 */
export async function openStoreFolder(path: string, kind: StoreKind): Promise<StoreLock> {
  await makeFolder(path);
  const lock = await lockFolder(path);
  try {
    await removeTemporaries(path);
    await checkFormat(path, kind);
  } catch (thrown) {
    await lock.release();
    throw thrown;
  }
  return lock;
}

async function checkFormat(path: string, kind: StoreKind): Promise<void> {
  let text: string;
  try {
    text = await readFile(join(path, formatName), 'utf8');
  } catch (thrown) {
    if (!isMissing(thrown)) throw thrown;
    const others = (await readdir(path)).filter((name) => !name.startsWith(lockNameStart));
    if (others.length > 0) {
      throw formatError(
        path,
        `it is no store, and holds other files (${others.slice(0, 3).join(', ')})`,
      );
    }
    const format = { format: 'paipainet-store', kind, version: formatVersion };
    await replaceFile(path, formatName, `${JSON.stringify(format)}\n`);
    return;
  }
  const format = parse(text);
  if (format?.['format'] !== 'paipainet-store')
    throw formatError(path, `${formatName} cannot be read`);
  if (format['version'] !== formatVersion) {
    throw formatError(
      path,
      `it has format ${format['version']}, and this release reads ${formatVersion}; use the release that wrote it, or a newer one`,
    );
  }
  if (format['kind'] !== kind)
    throw formatError(path, `it is of the kind '${format['kind']}', not '${kind}'`);
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    // Whatever it is, only its own fields are looked at.
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function formatError(path: string, why: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_STORE_FORMAT',
    `the store in ${path} cannot be opened: ${why}`,
  );
}
