import { fstatSync, rmSync, type Stats, write } from 'node:fs';
import { link, lstat, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PaipaiError, toError } from '../base/errors.js';

/** Where bytes go that a command brings, one piece behind the other. */
export interface ByteTarget {
  write(bytes: Uint8Array): Promise<void>;
  /** All are written: now they stand under their name. */
  finish(): Promise<void>;
  /** Leaves nothing behind, unless `finish` has settled before. Idempotent; it never fails. */
  discard(): Promise<void>;
}

const writeTo = promisify(write);

/** `write` fails where not every byte could be written: when a reader has gone, or the disk is full. */
export function standardOutput(): ByteTarget {
  const { stdout } = process;
  return {
    // Node's own stream for files takes no notice when a part of the bytes was written.
    write: fstatSync(stdout.fd).isFile()
      ? (bytes) =>
          writeWhole(bytes, async (at) => (await writeTo(stdout.fd, bytes, at)).bytesWritten)
      : (bytes) =>
          new Promise((resolve, reject) => {
            stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
          }),
    finish: async () => {},
    discard: async () => {},
  };
}

/** @param writeFrom writes what stands from an index on, or a part of it; how many bytes */
async function writeWhole(
  bytes: Uint8Array,
  writeFrom: (at: number) => Promise<number>,
): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) at += await writeFrom(at);
}

/** File systems without hard links say one of these. */
const noLinks: ReadonlySet<unknown> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * A file that is written beside its place, and takes it when it is whole and synced, with the permissions of the one that it replaces. When the
 * process ends before that, nothing is left of it.
 * Fails: PAIPAI_ERR_INVALID_ARGUMENT when something is there that must not be replaced, also when that came meanwhile; a system error.
 */
export async function newFile(path: string, isForced: boolean): Promise<ByteTarget> {
  const present = await lstatOrNone(path);
  if (present !== undefined && !isForced) throw isThere(path);
  // A device or a folder would be gone, and of a link the name.
  if (present?.isFile() === false) {
    throw new PaipaiError('PAIPAI_ERR_INVALID_ARGUMENT', `${path} is no plain file to replace`);
  }
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  // From the beginning nobody may read it who may not read the one that it replaces.
  const file = await open(temporary, 'wx', present === undefined ? 0o666 : present.mode & 0o777);
  const onExit = (): void => rmSync(temporary, { force: true });
  process.once('exit', onExit);
  let isOpen = true;
  let isThrough = false;
  const close = async (): Promise<void> => {
    if (isOpen) await file.close();
    isOpen = false;
  };
  return {
    write: (bytes) => writeWhole(bytes, async (at) => (await file.write(bytes, at)).bytesWritten),
    async finish() {
      if (present !== undefined) await file.chmod(present.mode & 0o777);
      await file.sync();
      await close();
      if (isForced) await rename(temporary, path);
      else await takeFreeName(temporary, path);
      isThrough = true;
      process.off('exit', onExit);
    },
    async discard() {
      if (isThrough) return;
      await close().catch(() => {}); // What it held is not wanted any more.
      await rm(temporary, { force: true }).catch(() => {});
      process.off('exit', onExit);
    },
  };
}

/** `rename` would replace whatever came there meanwhile; a link does not. */
async function takeFreeName(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (thrown) {
    const code = codeOf(thrown);
    if (code === 'EEXIST') throw isThere(path);
    if (!noLinks.has(code)) throw thrown;
    if ((await lstatOrNone(path)) !== undefined) throw isThere(path);
    return rename(temporary, path);
  }
  await rm(temporary);
}

async function lstatOrNone(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}

function isThere(path: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    `${path} is there already: name another file, or give --force to replace it`,
  );
}

function codeOf(thrown: unknown): unknown {
  // Node's errors carry `code`; nothing in the type of Error says so.
  return (toError(thrown) as { code?: unknown }).code;
}
