import type { Code } from './cluster-scenario.mjs';

export function runMapChaos(options: {
  readonly code: Code;
  readonly seed: number;
  readonly note?: (sentence: string) => void;
}): Promise<{
  readonly violations: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}>;
