import type { GroupRow } from './group-table.js';

/** Where the shards will go, before anything moves. */
export interface DemoPlan {
  readonly shards: number;
  readonly perNode: readonly { nodeId: string; shards: number; bytes: number }[];
}

export interface DemoNodeReport {
  nodeId: string;
  shards: number;
  bytes: number;
  /** w_i: this node's part of all bytes. */
  weight: number;
  /** t_i. */
  transferMs: number;
  /** h_i. */
  processMs: number;
}

export interface DemoReport {
  file: string;
  bytes: number;
  shards: number;
  shardBytes: number;
  perNode: DemoNodeReport[];
  /** P, T and H. */
  sums: { bytes: number; transferMs: number; processMs: number };
  wall: { transferMs: number; processMs: number; referenceMs: number };
  /** H by the wall time of processing. */
  speedUp: number;
}

/** What `demo --json` prints. */
export interface DemoOutcome {
  engine: 'native' | 'js';
  pids: (number | undefined)[];
  /** Whether `result` and `skipped` are what one thread finds in the same file, bit for bit. */
  equal: boolean;
  result: GroupRow[];
  /** Rows whose value is no number. */
  skipped: number;
  report: DemoReport;
}

/** Both are sorted by key. Exact: the sums are, on either side, so the means are equal to the last bit. */
export function sameRows(left: readonly GroupRow[], right: readonly GroupRow[]): boolean {
  return (
    left.length === right.length &&
    left.every((row, index) => {
      const other = right[index];
      return (
        other !== undefined &&
        row.key === other.key &&
        row.count === other.count &&
        row.mean === other.mean &&
        row.min === other.min &&
        row.max === other.max
      );
    })
  );
}
