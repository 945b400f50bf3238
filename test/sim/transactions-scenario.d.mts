/** All that the files of transactions export. */
export interface TransactionCode {
  readonly Transactor: unknown;
}

export function loadTransactionCode(
  load: (file: string) => Promise<unknown>,
): Promise<TransactionCode>;

export function runTransactionChaos(options: {
  readonly code: TransactionCode;
  readonly seed: number;
  readonly fatalStep?: number;
  readonly note?: (sentence: string) => void;
}): Promise<{
  readonly violations: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}>;
