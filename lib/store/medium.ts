import type { ShardKey, StoredShard } from './store.js';

/** One change of what lies on a medium. */
export type Change =
  | { readonly kind: 'put'; readonly shard: StoredShard; readonly content: Uint8Array }
  | { readonly kind: 'drop'; readonly key: ShardKey };

/** What a medium found when it was opened. */
export interface Found {
  readonly shards: readonly StoredShard[];
  /** Records that could not be read. */
  readonly damaged: number;
}

/**
 * Where a durable store puts its shards. It is used by one `DurableStore`, which calls `write` again only when the last one has settled, and
 * decides everything else: order, limits, checks.
 */
export interface Medium {
  /** What is there, without reading any content. Called once, before anything else. */
  load(): Promise<Found>;
  /**
   * Makes the changes in their order, and settles when they would survive a loss of power. Each on its own leaves old or new, never a mix,
   * whenever the process ends. Dropping what is not there is no failure.
   * @returns for each change why it failed, or undefined; PAIPAI_ERR_STORE_FULL when there was no room for it. Never rejects.
   */
  write(changes: readonly Change[]): Promise<readonly (Error | undefined)[]>;
  /**
   * Copies the content that lies under the key now, while changes may be under way. False when it has another length than `into`, or is gone.
   * Fails: PAIPAI_ERR_STORE_FAILED.
   */
  read(key: ShardKey, into: Uint8Array): boolean | Promise<boolean>;
  close(): Promise<void>;
}
