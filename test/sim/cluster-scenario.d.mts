import type { Load } from './shipped-code.mjs';

/** Only to be handed on. */
export interface Code {
  readonly host: object;
}

export function loadCode(load: Load): Promise<Code>;

export function runClusterChaos(options: {
  readonly code: Code;
  readonly seed: number;
  readonly note?: (sentence: string) => void;
}): Promise<{
  readonly violations: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly virtualMs: number;
}>;
