import type { PaipaiCode } from '../base/codes.js';

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

export type Task = RunTask | MergeTask;

export type ToWorker =
  | { readonly kind: 'task'; readonly id: number; readonly task: Task }
  | { readonly kind: 'abort'; readonly id: number };

export type FromWorker =
  | { readonly kind: 'ready'; readonly handlers: readonly HandlerInfo[] }
  | { readonly kind: 'unready'; readonly message: string }
  | { readonly kind: 'done'; readonly id: number; readonly result: TaskResult }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: TaskFailure };

export interface HandlerInfo {
  readonly name: string;
  readonly merges: boolean;
}

export interface TaskResult {
  /** One value part: a value for each shard, or a single merged one. */
  readonly part: Uint8Array;
  /** Milliseconds that handlers ran. */
  readonly timeMs: number;
}

/** A failure as it crosses a thread: an Error would arrive without its code. */
export interface TaskFailure {
  readonly code: PaipaiCode;
  readonly message: string;
  readonly handler?: string;
  readonly shardIndex?: number;
}
