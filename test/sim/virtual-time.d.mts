import type { Random } from '../../dist/base/env.js';

export class VirtualTime {
  nowMs: number;
  at(dueMs: number, callback: () => void): void;
  after(delayMs: number, callback: () => void): void;
  run(untilMs: number, isDone?: () => boolean): boolean;
  runNext(untilMs: number): boolean;
}

export class SeededRandom implements Random {
  constructor(seed: number);
  next(): number;
  bytes(count: number): Uint8Array;
  between(min: number, max: number): number;
  exponential(mean: number): number;
  pick<T>(list: readonly T[]): T;
}
