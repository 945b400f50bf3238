import { readFileSync } from 'node:fs';
import { PaipaiError, toError } from '../base/errors.js';
import { type StoreChoice, storeLimitBytesMin } from '../store/open-store.js';
import { integerOption, usageError } from './command.js';

/** `lmdb:FOLDER` or `files:FOLDER`; `memory`, or nothing, is undefined. */
export function readStore(
  command: string,
  store: string | undefined,
  limit: string | undefined,
): StoreChoice | undefined {
  const [, kind, path] = /^(lmdb|files):(.+)$/.exec(store ?? '') ?? [];
  if (path === undefined) {
    if (store !== undefined && store !== 'memory') {
      throw usageError(
        command,
        `--store must be lmdb:FOLDER, files:FOLDER or memory, but is '${store}'`,
      );
    }
    if (limit !== undefined) throw usageError(command, '--store-limit goes with a --store on disk');
    return undefined;
  }
  const most = Number.MAX_SAFE_INTEGER;
  const sizeLimit =
    limit === undefined
      ? {}
      : { sizeLimitBytes: integerOption(command, 'store-limit', limit, storeLimitBytesMin, most) };
  return kind === 'lmdb' ? { lmdb: path, ...sizeLimit } : { files: path, ...sizeLimit };
}

/** A secret never stands among the arguments, where every user of the machine could read it: in a file, or in PAIPAINET_SECRET. */
export function readSecret(
  command: string,
  file: string | undefined,
  variables: Readonly<Record<string, string | undefined>>,
): Uint8Array | undefined {
  if (file === undefined) {
    const variable = variables['PAIPAINET_SECRET'] ?? '';
    return variable === '' ? undefined : Buffer.from(variable);
  }
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (thrown) {
    throw new PaipaiError(
      'PAIPAI_ERR_SOURCE_FAILED',
      `the secret cannot be read: ${toError(thrown).message}`,
      { cause: thrown },
    );
  }
  const text = bytes.toString('latin1').replace(/\r?\n$/, '');
  if (text === '') throw usageError(command, `The secret in ${file} is empty`);
  return bytes.subarray(0, text.length);
}
