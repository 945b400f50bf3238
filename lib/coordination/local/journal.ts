import type { Change } from '../coordinator.js';

/** Where a local coordinator keeps what must outlive its process. Without one, everything ends with it. */
export interface Journal {
  /** All that has been kept, once, before the first `write`. */
  read(): Promise<JournalContent>;
  /**
   * Settles when the change, and its version as the latest, will be there after a crash. Changes come one after the other, by ascending
   * version. When it rejects the change is not kept, and never will be, but for PAIPAI_ERR_STORE_FAILED: that may leave it open, and then every
   * later write is refused too, so that nobody hears of a state that another life of the journal would deny.
   */
  write(change: Change): Promise<void>;
  close(): Promise<void>;
}

export interface JournalContent {
  /** The version of the latest change, deletions included; 0 when there was none. */
  readonly lastVersion: number;
  /** The keys that have a value, each once. */
  readonly entries: Iterable<Change & { readonly value: Uint8Array }>;
}
