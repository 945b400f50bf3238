/** All that the files of the quorum export. */
export interface QuorumCode {
  readonly Table: unknown;
}

export function loadQuorumCode(load: (file: string) => Promise<unknown>): Promise<QuorumCode>;

export function runQuorumChaos(options: {
  readonly code: QuorumCode;
  readonly seed: number;
  readonly note?: (sentence: string) => void;
}): Promise<{
  readonly violations: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}>;
