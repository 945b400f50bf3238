import type { TransferReport } from '../cluster/transfer/report.js';

/** What `process` answers. */
export interface ProcessResult {
  /** Merged over all shards, or the list of their values in the order of the shards when the handler has no merge. */
  readonly value: unknown;
  /** The same of the shards on each node alone. */
  readonly perNode: readonly { readonly nodeId: string; readonly value: unknown }[];
  readonly report: ProcessReport;
  /** Of what was sent for it: present when this net had not transferred the data before. */
  readonly transfer?: TransferReport;
}

export interface ProcessReport {
  readonly dataId: string;
  readonly handler: string;
  readonly bytes: number;
  readonly shards: number;
  readonly perNode: readonly NodeProcess[];
  /** Shards that were begun again, since their node was lost, did not have them any more, or its handler failed. */
  readonly retries: number;
  /** Shards that were begun on a second node too, since the first one was late. */
  readonly backups: number;
  /** H = Σ h_i. */
  readonly sumMs: number;
  readonly wallMs: number;
  /** H / wall: how many handlers ran at once, on average. */
  readonly speedUp: number;
}

export interface NodeProcess {
  readonly nodeId: string;
  /** Those whose values count. */
  readonly shards: number;
  readonly bytes: number;
  /** h_i: the time handlers ran there for what counts, summed over its workers. */
  readonly timeMs: number;
}
