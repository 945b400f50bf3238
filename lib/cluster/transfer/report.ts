/** What a transfer moved, and how long it took. P is the bytes of the data. */
export interface TransferReport {
  readonly dataId: string;
  /** P. */
  readonly bytes: number;
  readonly shards: number;
  readonly perNode: readonly NodeTransfer[];
  /** T = Σ t_i. Transfers overlap, so the wall time stands beside it. */
  readonly sumMs: number;
  readonly wallMs: number;
}

export interface NodeTransfer {
  readonly nodeId: string;
  readonly shards: number;
  readonly bytes: number;
  /** w_i = bytes / P. */
  readonly weight: number;
  /** t_i: from the first byte sent to the last confirmation. */
  readonly timeMs: number;
}

/** How far a transfer, or a processing, has come. */
export interface Progress {
  readonly dataId: string;
  readonly bytes: number;
  /** Undefined while a stream has not ended. */
  readonly totalBytes: number | undefined;
  readonly shards: number;
}
