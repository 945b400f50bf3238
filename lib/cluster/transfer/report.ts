/** What a transfer moved, and how long it took. P is the bytes of the data; with n replicas n · P are moved. */
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
  /** w_i: its part of all the bytes moved, 0 to 1. */
  readonly weight: number;
  /** t_i: from the first byte sent to the last confirmation. */
  readonly timeMs: number;
}

/** What a repair did. */
export interface RepairReport {
  readonly dataId: string;
  /** Copies made, and their bytes. */
  readonly copies: number;
  readonly bytes: number;
  /** Shards that have fewer copies still, since there are too few nodes. */
  readonly shardsShort: number;
  readonly wallMs: number;
}

/** How far a transfer, or a processing, has come. */
export interface Progress {
  readonly dataId: string;
  readonly bytes: number;
  /** Undefined while a stream has not ended. */
  readonly totalBytes: number | undefined;
  readonly shards: number;
}
