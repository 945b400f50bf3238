import type { TransferReport } from '../cluster/transfer/report.js';

/** What `process` answers. */
export interface ProcessResult {
  /** Merged over all shards, or the list of their values in the order of the shards when the handler has no merge. */
  readonly value: unknown;
  /** The same of the shards on each node alone. */
  readonly perNode: readonly { readonly nodeId: string; readonly value: unknown }[];
  readonly report: ProcessReport;
  /** Of what was sent for it: present when the data lay on no node before. */
  readonly transfer?: TransferReport;
}

export interface ProcessReport {
  readonly dataId: string;
  readonly handler: string;
  readonly bytes: number;
  readonly shards: number;
  readonly perNode: readonly NodeProcess[];
  /** H = Σ h_i. */
  readonly sumMs: number;
  readonly wallMs: number;
  /** H / wall: how many handlers ran at once, on average. */
  readonly speedUp: number;
}

export interface NodeProcess {
  readonly nodeId: string;
  readonly shards: number;
  readonly bytes: number;
  /** h_i: the time handlers ran there, summed over its workers. */
  readonly timeMs: number;
}
