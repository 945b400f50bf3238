import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Env, Timers } from '../../dist/base/env.js';
import type { Network, NetworkEnv } from '../../dist/transport/frame-channel.js';

/** The system's clock, timers, randomness and files, with the network of the test. */
export function testEnv(network: Network): NetworkEnv {
  return {
    clock: { nowMs: () => performance.now(), wallMs: () => Date.now() },
    timers: realTimers,
    random: { next: Math.random, bytes: (count) => randomBytes(count) },
    files: {
      stat: async (path) => {
        const facts = await stat(path);
        return { bytes: facts.size, modifiedMs: facts.mtimeMs, isRegular: facts.isFile() };
      },
      open: async (path) => {
        const file = await open(path);
        return {
          read: async (into, position) =>
            (await file.read(into, 0, into.length, position)).bytesRead,
          close: () => file.close(),
        };
      },
      readStream: (path) => createReadStream(path),
    },
    network,
  };
}

export const realTimers: Timers = {
  after(delayMs, callback, options) {
    const timer = setTimeout(callback, delayMs);
    if (options?.keepAlive !== true) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

interface ManualTimer {
  dueMs: number;
  callback: () => void;
}

/** A clock that moves when it is told to; its timers run in the order of their moments. */
export class ManualTime {
  nowMs = 0;
  /** Timers made so far. */
  timerCount = 0;
  #timers: ManualTimer[] = [];

  env(): Env {
    const unused = (): never => {
      throw new Error('not part of this test');
    };
    return {
      clock: { nowMs: () => this.nowMs, wallMs: () => this.nowMs },
      timers: {
        after: (delayMs, callback) => {
          this.timerCount++;
          const timer = { dueMs: this.nowMs + delayMs, callback };
          this.#timers.push(timer);
          return { cancel: () => this.#drop(timer) };
        },
      },
      random: { next: () => 0.5, bytes: (count) => new Uint8Array(count) },
      files: { stat: unused, open: unused, readStream: unused },
    };
  }

  advance(byMs: number): void {
    const untilMs = this.nowMs + byMs;
    for (;;) {
      const due = this.#timers
        .filter((t) => t.dueMs <= untilMs)
        .sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#drop(due);
      this.nowMs = Math.max(this.nowMs, due.dueMs);
      due.callback();
    }
    this.nowMs = untilMs;
  }

  #drop(timer: ManualTimer): void {
    this.#timers = this.#timers.filter((t) => t !== timer);
  }
}
