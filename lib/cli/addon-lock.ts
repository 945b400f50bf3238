import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PaipaiError, toError } from '../base/errors.js';

/**
 * One build at a time in one folder, whoever starts it. Holding the lock is having made the folder `build/paipainet.lock`
 * (mkdir(2) succeeds for one of many); the file `owner` in it names the process and tells its lock from a later one.
 */

const pollMs = 100;
/** Between making the folder and writing its owner lie microseconds; a folder without an owner for so long was left behind. */
const ownerlessMsMax = 5_000;

export interface LockOptions {
  readonly signal: AbortSignal;
  /** Told once, when there is a wait. */
  readonly note: (line: string) => void;
}

interface Owner {
  readonly pid: number;
  readonly text: string;
}

/** Runs `work` while no other build runs under `root`. */
export async function withBuildLock<T>(
  root: string,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const lock = join(root, 'build', 'paipainet.lock');
  await acquire(root, lock, options);
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

async function acquire(root: string, lock: string, { signal, note }: LockOptions): Promise<void> {
  let told = false;
  for (;;) {
    signal.throwIfAborted();
    if (tryAcquire(root, lock)) return;
    const owner = readOwner(lock);
    if (isStale(lock, owner)) {
      takeAway(lock, owner);
      continue;
    }
    if (!told) {
      note(
        `paipainet: waiting for another build${owner === undefined ? '' : ` (process ${owner.pid})`}`,
      );
      told = true;
    }
    await sleep(pollMs, undefined, { signal });
  }
}

function tryAcquire(root: string, lock: string): boolean {
  try {
    mkdirSync(join(root, 'build'), { recursive: true });
    mkdirSync(lock);
    writeFileSync(join(lock, 'owner'), `${process.pid} ${randomUUID()}`);
    return true;
  } catch (thrown) {
    const error = toError(thrown) as NodeJS.ErrnoException; // node:fs throws nothing else.
    if (error.code === 'EEXIST') return false;
    throw new PaipaiError(
      'PAIPAI_ERR_BUILD_FAILED',
      `the addon could not be built: the folder ${join(root, 'build')} cannot be written (${error.message}); make it writable for this user`,
      { cause: error },
    );
  }
}

function readOwner(lock: string): Owner | undefined {
  try {
    const text = readFileSync(join(lock, 'owner'), 'utf8');
    const pid = Number(text.split(' ')[0]);
    return Number.isSafeInteger(pid) && pid > 0 ? { pid, text } : undefined;
  } catch {
    return undefined; // Not written yet, or released between two calls.
  }
}

function isStale(lock: string, owner: Owner | undefined): boolean {
  if (owner !== undefined) return !isAlive(owner.pid);
  try {
    return Date.now() - statSync(lock).mtimeMs > ownerlessMsMax;
  } catch {
    return false; // Released meanwhile: the next attempt decides.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Moves a stale lock aside before it goes, so that of several who see it only one removes it, and none removes a fresh one. */
function takeAway(lock: string, seen: Owner | undefined): void {
  const aside = `${lock}.${randomUUID()}`;
  try {
    renameSync(lock, aside);
  } catch {
    return; // Somebody else was first.
  }
  const moved = readOwner(aside);
  if (moved !== undefined && moved.text !== seen?.text) {
    // Between look and move a new owner came: give it its lock back. Where that fails a third has made one by now,
    // and two builds overlap; make then repeats work, and the stamp is written by whoever ends last.
    try {
      renameSync(aside, lock);
      return;
    } catch {
      // Falls through to the removal below.
    }
  }
  rmSync(aside, { recursive: true, force: true });
}
