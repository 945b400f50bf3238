export interface TriedTransaction {
  readonly tag: string;
  readonly startedAt: number;
  /** Infinity: its end was not heard of. */
  readonly endedAt: number;
  readonly outcome: 'committed' | 'aborted' | 'unknown';
  /** Whose value it has read; null: there was none. */
  readonly reads: readonly { readonly key: string; readonly tag: string | null }[];
  readonly writes: readonly string[];
  readonly deletes?: boolean;
}

export function flawOfTransactions(
  tried: readonly TriedTransaction[],
  histories: ReadonlyMap<string, readonly { readonly tag: string; readonly isThere: boolean }[]>,
): string | undefined;
