import type { Readable } from 'node:stream';

/**
 * What everything that decides takes from outside: clock, timers, randomness and files here; the network joins
 * in `NetworkEnv` of `lib/transport/frame-channel.ts`, because its types live there.
 * The real one is `lib/node/real-env.ts`; simulations bring their own with virtual time and one seed.
 * No `Date.now`, `setTimeout`, `Math.random`, socket or file call stands outside it in the deciding floors.
 */
export interface Env {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly files: Files;
}

export interface Clock {
  /** Monotonic milliseconds with fractions; differences only. */
  nowMs(): number;
  /** Milliseconds since 1970, for people and for logs; it may jump. */
  wallMs(): number;
}

/** A running timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

export interface Timers {
  /** Calls back once after `delayMs`. An unreferenced timer (`keepAlive: false`, the default) does not keep the process alive. */
  after(delayMs: number, callback: () => void, options?: { keepAlive?: boolean }): Timer;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Unpredictable bytes for secrets and nonces (seeded in simulations). */
  bytes(count: number): Uint8Array;
}

export interface FileFacts {
  readonly bytes: number;
  readonly modifiedMs: number;
  /** Not a folder, pipe, socket or device: it has a size, and opening it does not wait for anybody. */
  readonly isRegular: boolean;
}

/** One open file, read by position. */
export interface FileHandle {
  /** Fills `into` from `position` as far as the file reaches; returns the bytes read, 0 at the end. */
  read(into: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

export interface Files {
  /** Size in bytes and the time of the last change. Fails as the system does (ENOENT …). */
  stat(path: string): Promise<FileFacts>;
  open(path: string): Promise<FileHandle>;
  readStream(path: string): Readable;
}
