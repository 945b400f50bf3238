import type { PaipaiCode } from '../base/codes.js';
import type { Run } from './map-reduce/run-writer.js';
import type { Segment, SpaceHandle } from './map-reduce/shuffle-space.js';

/** What a pool and its workers say to each other. Both are ours and of one version, so the types are trusted. */

export interface RunTask {
  readonly kind: 'run';
  readonly handler: string;
  readonly dataId: string;
  readonly nodeId: string;
  /** Encoded; undefined when the caller passed none. */
  readonly args: Uint8Array | undefined;
  /** In the order of their index. The bytes view shared memory. */
  readonly shards: readonly { readonly index: number; readonly bytes: Uint8Array }[];
}

export interface MergeTask {
  readonly kind: 'merge';
  readonly handler: string;
  /** Value parts (see value-parts.ts), in any order. */
  readonly parts: readonly Uint8Array[];
}

/** What every task of a MapReduce is told. */
interface JobTask {
  /** Name of the map, or of the reduce. */
  readonly handler: string;
  readonly combine: string | undefined;
  readonly dataId: string;
  readonly nodeId: string;
  /** Encoded; undefined when the caller passed none. */
  readonly args: Uint8Array | undefined;
  readonly space: SpaceHandle;
  /** About as much memory as its table of groups may take. */
  readonly tableBytesMax: number;
  /** Of the hash of that table. */
  readonly seed: number;
}

export interface MapTask extends JobTask {
  readonly kind: 'map';
  /** As in `RunTask`. */
  readonly shards: readonly { readonly index: number; readonly bytes: Uint8Array }[];
  readonly partitions: number;
}

export interface ReduceTask extends JobTask {
  readonly kind: 'reduce';
  /** All entries of one partition, in any order; they lie in `space`. */
  readonly segments: readonly Segment[];
}

export interface MessageTask {
  readonly kind: 'message';
  /** The topic. */
  readonly handler: string;
  readonly from: string;
  readonly nodeId: string;
  /** Encoded. */
  readonly value: Uint8Array;
}

export type Task = RunTask | MergeTask | MapTask | ReduceTask | MessageTask;

export type ToWorker =
  | { readonly kind: 'task'; readonly id: number; readonly task: Task }
  | { readonly kind: 'abort'; readonly id: number };

export type FromWorker =
  | { readonly kind: 'ready'; readonly handlers: readonly HandlerInfo[] }
  | { readonly kind: 'unready'; readonly message: string }
  | { readonly kind: 'done'; readonly id: number; readonly result: ResultOf<Task> }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: TaskFailure };

export interface HandlerInfo {
  readonly name: string;
  readonly merges: boolean;
}

export interface TaskResult {
  /** One value part: a value for each shard, or a single merged one. Its memory is all its own, and moves between threads. */
  readonly part: Uint8Array<ArrayBuffer>;
  /** Milliseconds that handlers ran. */
  readonly timeMs: number;
}

export interface MapTaskResult {
  readonly runs: readonly Run[];
  /** Milliseconds that the map ran, with folding and encoding. */
  readonly timeMs: number;
}

export interface ReduceTaskResult {
  /** Each key once, with its result. */
  readonly segments: readonly Segment[];
  readonly keys: number;
  readonly timeMs: number;
}

export interface MessageTaskResult {
  /** Encoded. Its memory is all its own, and moves between threads. */
  readonly answer: Uint8Array<ArrayBuffer>;
}

/** What a task of this kind comes to. */
export type ResultOf<T extends Task> = T extends MapTask
  ? MapTaskResult
  : T extends ReduceTask
    ? ReduceTaskResult
    : T extends MessageTask
      ? MessageTaskResult
      : TaskResult;

/** A failure as it crosses a thread: an Error would arrive without its code. */
export interface TaskFailure {
  readonly code: PaipaiCode;
  readonly message: string;
  readonly handler?: string;
  readonly shardIndex?: number;
}
