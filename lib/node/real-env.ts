import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Env } from '../base/env.js';

/** The environment of a real process: the system's clocks, timers, randomness and files. */
export function createRealEnv(): Env {
  return {
    clock: { nowMs: () => performance.now(), wallMs: () => Date.now() },
    timers: {
      after(delayMs, callback, options) {
        const timer = setTimeout(callback, delayMs);
        if (options?.keepAlive !== true) timer.unref();
        return { cancel: () => clearTimeout(timer) };
      },
    },
    random: { next: Math.random, bytes: (count) => randomBytes(count) },
    files: {
      async stat(path) {
        const facts = await stat(path);
        return { bytes: facts.size, modifiedMs: facts.mtimeMs, isRegular: facts.isFile() };
      },
      async open(path) {
        const file = await open(path);
        return {
          read: async (into, position) =>
            (await file.read(into, 0, into.byteLength, position)).bytesRead,
          close: () => file.close(),
        };
      },
      readStream: (path) => createReadStream(path),
    },
  };
}
