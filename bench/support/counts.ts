import type { Case, Settings, Trial } from './types.js';

/** What one message costs beside time, from a trial that was not timed; null where it cannot be had here. */
export interface Counts {
  /** What is counted for: a message, or a MiB. */
  readonly per: string;
  readonly clientSystemCalls: number | null;
  readonly serverSystemCalls: number | null;
  /** Allocated on V8's heap, whether collected since or not; the contents of large buffers lie elsewhere. */
  readonly clientHeapBytes: number | null;
  readonly serverHeapBytes: number | null;
}

/** Of a trial that counted. */
export function countsOf(chosen: Case, settings: Settings, trial: Trial): Counts {
  const { count, per } = chosen.work?.(trial, settings) ?? {
    count: Number(trial.run.count),
    per: 'message',
  };
  const each = (total: number | string | undefined): number | null =>
    total === undefined ? null : Number(total) / count;
  return {
    per,
    clientSystemCalls: each(trial.systemCalls?.client),
    serverSystemCalls: each(trial.systemCalls?.server),
    clientHeapBytes: each(trial.run.allocatedBytes),
    serverHeapBytes: each(trial.serverUsage.after.allocatedBytes),
  };
}
