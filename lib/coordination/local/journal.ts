import type { Change } from '../coordinator.js';

/** A change as it is kept: with the lease that its key goes with, if there is one. */
export interface StoredChange extends Change {
  readonly lease?: KeyLease | undefined;
}

export interface KeyLease {
  readonly leaseId: number;
  readonly ttlMs: number;
}

/** Where a local coordinator keeps what must outlive its process. Without one, everything ends with it. */
export interface Journal {
  /** All that has been kept, once, before the first `write`. */
  read(): Promise<JournalContent>;
  /**
   * Settles when the changes, of different keys and all of one version, and that version as the latest, will be there after a crash: all or
   * none of them. Calls come one after the other, by ascending version. When it rejects none of the changes is kept, and never will be, but for
   * PAIPAI_ERR_STORE_FAILED: that may leave it open, and then every later write is refused too, so that nobody hears of a state that another life of
   * the journal would deny.
   */
  write(changes: readonly StoredChange[]): Promise<void>;
  close(): Promise<void>;
}

export interface JournalContent {
  /** The version of the latest change, deletions included; 0 when there was none. */
  readonly lastVersion: number;
  /** The keys that have a value, each once. */
  readonly entries: Iterable<StoredChange & { readonly value: Uint8Array }>;
}
