import type { Env } from '../base/env.js';

/** A part of the bytes of a source, 1 or more. `bytes` may lie in memory that is used again after `release` (idempotent). */
export interface SourceBlock {
  readonly bytes: Uint8Array;
  release(): void;
}

export interface ReadOptions {
  /** Length of the blocks wanted. Sources of a known size keep it, but for the last block; streams give what comes. */
  blockBytes: number;
  /** Aborts the reading with PAIPAI_ERR_ABORTED, also while it waits for bytes that do not come. */
  signal?: AbortSignal | undefined;
}

/**
 * Where the bytes of data come from. A source gives the same bytes each time it is read, or fails:
 * PAIPAI_ERR_SOURCE_CHANGED when it is not what it was, PAIPAI_ERR_SOURCE_FAILED (with the cause) when it cannot be read,
 * PAIPAI_ERR_SOURCE_CONSUMED when it could be read once and was.
 */
export interface DataSource {
  readonly kind: 'zeros' | 'bytes' | 'file' | 'stream' | 'stored';
  /** Undefined as long as it is not known: of a file before `measure`, of a stream before its end. */
  readonly sizeBytes: number | undefined;
  /** It can be read more than once, so a plan can be made before anything moves. */
  readonly repeatable: boolean;
  /** Finds out `sizeBytes` where that needs no reading. From then on the source must stay as it is. */
  measure(env: Env): Promise<number | undefined>;
  /** The bytes from the first to the last, in order. Leaving the loop early closes what was opened. */
  blocks(env: Env, options: ReadOptions): AsyncIterable<SourceBlock>;
}
