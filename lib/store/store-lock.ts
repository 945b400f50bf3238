import { randomBytes } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { PaipaiError } from '../base/errors.js';
import { temporaryEnding } from './disk.js';
import { isMissing } from './store-errors.js';

/**
 * One process at a time. Node has no file locks, and a file with a process id outlives its process, which another one may then be mistaken
 * for. A listening socket ends with its process, by whatever way, and everybody who sees the file can ask whether somebody listens.
 *
 * Each contender listens on a socket of its own, under a name that nobody looks at, gives it a name that everybody looks at, and then asks all
 * others. So a socket with such a name listens or is dead for good, and dead ones can be removed. Of two contenders the one that asks later
 * finds the other: at most one goes on. When they ask at the same time neither does, which an operator repeats.
 *
 * It holds for one host, containers that share the folder included; not for a folder on a network file system.
 */
export interface StoreLock {
  release(): Promise<void>;
}

export const lockNameStart = 'lock-';

/** Longest path of a Unix socket. */
const socketPathBytesMax = 103;

/** @throws PaipaiError PAIPAI_ERR_STORE_IN_USE; a system error where no socket can be made. */
export async function lockFolder(folder: string): Promise<StoreLock> {
  const id = randomBytes(6).toString('hex');
  const name = `${lockNameStart}${id}`;
  const hidden = join(folder, `${id}${temporaryEnding}`);
  checkPathBytes(join(folder, name), folder);
  const server = await listen(hidden);
  const release = async (): Promise<void> => {
    await rm(join(folder, name), { force: true });
    await new Promise((resolve) => server.close(resolve));
  };
  try {
    await rename(hidden, join(folder, name)).catch((thrown: unknown) => {
      // Whoever holds the store tidies up what bears no name yet.
      throw isMissing(thrown) ? inUse(folder) : thrown;
    });
    for (const other of await readdir(folder)) {
      if (!other.startsWith(lockNameStart) || other === name) continue;
      const path = join(folder, other);
      if (await isAlive(path)) throw inUse(folder);
      await rm(path, { force: true });
    }
  } catch (thrown) {
    await release();
    throw thrown;
  }
  return { release };
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    // `exclusive`: in a worker of `node:cluster` the primary would listen, and hold the lock for as long as it lives.
    server.listen({ path, exclusive: true }, () => resolve(server.unref()));
  });
}

/** The kernel answers for a process that is busy or stopped; only one that is gone refuses. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT');
    });
  });
}

function checkPathBytes(path: string, folder: string): void {
  if (Buffer.byteLength(path) <= socketPathBytesMax) return;
  const bytesMax = socketPathBytesMax - (Buffer.byteLength(path) - Buffer.byteLength(folder));
  throw new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    `the path of the store must have at most ${bytesMax} bytes, since a socket in it is its lock: ${folder}`,
  );
}

function inUse(folder: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_STORE_IN_USE',
    `the store in ${folder} is open already: end the other node, or give this one a folder of its own`,
  );
}
