import type { Random } from '../../base/env.js';

/** `ReconnectOptions`, checked, with every default in place. */
export interface Backoff {
  readonly backoffMs: number;
  readonly backoffMsMax: number;
  readonly jitter: number;
  readonly attemptsMax: number;
}

/** The wait before attempt `attempt`, which counts from 0: twice the one before, at most `backoffMsMax`, less its random part. */
export function backoffDelayMs(backoff: Backoff, attempt: number, random: Random): number {
  const wholeMs = Math.min(backoff.backoffMsMax, backoff.backoffMs * 2 ** attempt);
  return wholeMs * (1 - backoff.jitter * random.next());
}
