import type { Progress, TransferReport } from '../../cluster/transfer/report.js';

/** What `mapReduce` answers. */
export interface MapReduceResult {
  /** What the reduce made of each key, in no particular order. At most 4,194,304 keys, and 256 MiB encoded. */
  readonly value: Map<string, unknown>;
  readonly report: MapReduceReport;
  /** Of what was sent for it: present when the data lay on no node before. */
  readonly transfer?: TransferReport;
}

export interface MapReduceReport {
  readonly dataId: string;
  /** Of the data. */
  readonly bytes: number;
  readonly shards: number;
  readonly partitions: number;
  readonly keys: number;
  /** Bytes of the data in; what a node's tasks emitted, combined and encoded, out. */
  readonly map: PhaseReport;
  /** Entries that nodes sent to others, through the client; those for a node's own partitions stay there. Overlaps with the reduce. */
  readonly shuffle: PhaseReport;
  /** Bytes of entries in, from the node itself and from others. */
  readonly reduce: PhaseReport;
  /** What the maps emitted, combined and encoded. */
  readonly emittedBytes: number;
  /** Part of the data that was read on a node where it lies, 0 to 1. */
  readonly localShare: number;
  /** Tasks and partitions that were begun again because a node went away. */
  readonly retries: number;
  /** Tasks that a second node worked on because the first was late. */
  readonly backups: number;
  /** Written to temporary files, on all nodes. */
  readonly spilledBytes: number;
  /** H = Σ h_i, of maps and reduces. */
  readonly sumMs: number;
  readonly wallMs: number;
  /** H / wall: how many functions ran at once, on average. */
  readonly speedUp: number;
}

export interface PhaseReport {
  readonly bytes: number;
  /** Tasks that count: maps, streams from node to node, partitions. */
  readonly tasks: number;
  /** Σ of the times of the nodes. */
  readonly sumMs: number;
  /** From the first to begin to the last to end. */
  readonly wallMs: number;
  readonly perNode: readonly NodePhase[];
}

export interface NodePhase {
  readonly nodeId: string;
  readonly bytes: number;
  readonly tasks: number;
  /** Map and reduce: the time that functions ran, summed over the workers of the node. Shuffle: the time that its streams took. */
  readonly timeMs: number;
}

/** How far a MapReduce has come: `bytes` and `shards` are those mapped. */
export interface MapReduceProgress extends Progress {
  readonly phase: 'map' | 'reduce';
  /** Reduced so far, and all of them. */
  readonly partitions: number;
  readonly totalPartitions: number;
}
