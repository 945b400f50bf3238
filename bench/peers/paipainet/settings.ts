import type { Settings } from '../../support/types.js';

/** Of the setting `engine`. */
export function engineOf({ engine = 'native' }: Settings): 'native' | 'js' {
  if (engine === 'native' || engine === 'js') return engine;
  throw new Error(`--engine takes native or js, not ${engine}`);
}

/** Of the setting `waiting`; a spinning side sleeps once nothing has come for 10 ms. */
export function waitingOf({ waiting = 'sleep' }: Settings): 'sleep' | { spinMicroseconds: number } {
  if (waiting === 'sleep') return waiting;
  if (waiting === 'spin') return { spinMicroseconds: 10_000 };
  throw new Error(`--waiting takes sleep or spin, not ${waiting}`);
}

/** Of the setting `surface`. */
export function isFast({ surface = 'promises' }: Settings): boolean {
  if (surface === 'promises' || surface === 'fast') return surface === 'fast';
  throw new Error(`--surface takes promises or fast, not ${surface}`);
}

/** Of the setting `path`: pinned to the socket unless that is shared memory. */
export function pathOf({ path }: Settings): 'auto' | 'tcp' | 'unix' {
  if (path === 'shm') return 'auto';
  return path === 'unix' ? 'unix' : 'tcp';
}

/** Where to listen: a port of the loopback that the system chooses, or the socket of the trial. */
export function addressFor({ path, socket }: Settings): string {
  return path === 'unix' ? `unix://${socket}` : 'tcp://127.0.0.1:0';
}
