import { checkInteger } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import { checkShardBytes, reservationOver, storeClosed } from './shard-checks.js';
import { ShardIndex } from './shard-index.js';
import { SlabMemory, type Slot } from './slab-memory.js';
import type {
  DataRange,
  ShardKey,
  ShardLease,
  ShardMeta,
  ShardRange,
  ShardReservation,
  ShardStore,
  StoredData,
  StoredShard,
  StoreUsage,
} from './store.js';

const sizeLimitBytesDefault = 4 * 1024 ** 3;

interface Entry extends StoredShard {
  readonly slot: Slot;
  readonly view: Uint8Array;
  leases: number;
  dropped: boolean;
}

export interface MemoryStoreOptions {
  /** Memory taken from the system for shards: 1 MiB or more, default 4 GiB. */
  sizeLimitBytes?: number;
  /** Gets each piece of memory taken from the system before it is used, to give the system a hint about it. */
  onSlab?: (memory: SharedArrayBuffer) => void;
}

export interface MemoryReservation extends ShardReservation {
  commit(meta: ShardMeta): void;
}

/** Shards in shared memory, which ends with the process. */
export class MemoryStore implements ShardStore {
  readonly sizeLimitBytes: number;
  readonly isDurable = false;
  readonly #memory: SlabMemory;
  readonly #index = new ShardIndex<Entry>();
  #reservedBytes = 0;
  #leases = 0;
  #closed = false;

  /** @param memory of another store, for `part` */
  constructor(
    { sizeLimitBytes = sizeLimitBytesDefault, onSlab }: MemoryStoreOptions = {},
    memory?: SlabMemory,
  ) {
    this.sizeLimitBytes = checkInteger(
      'sizeLimitBytes',
      sizeLimitBytes,
      1024 * 1024,
      Number.MAX_SAFE_INTEGER,
    );
    this.#memory = memory ?? new SlabMemory(sizeLimitBytes, onSlab);
  }

  /**
   * A store of its own, in the same memory and under the same limit: its keys meet no others, its usage is its own but for `heldBytes`,
   * and it is closed by itself.
   */
  part(): MemoryStore {
    return new MemoryStore({ sizeLimitBytes: this.sizeLimitBytes }, this.#memory);
  }

  reserve(key: ShardKey, bytes: number): MemoryReservation {
    const { dataId, index: shardIndex } = key;
    if (this.#closed) throw storeClosed(key);
    checkShardBytes(key, bytes);
    const slot = this.#memory.take(bytes);
    if (slot === undefined) {
      throw new PaipaiError(
        'PAIPAI_ERR_STORE_FULL',
        `No room for ${bytes} bytes: the store holds ${this.#memory.heldBytes} of at most ${this.sizeLimitBytes}. ` +
          'Drop data, or raise the limit.',
        { dataId, shardIndex },
      );
    }
    this.#reservedBytes += bytes;
    const view = new Uint8Array(slot.slab.memory, slot.offset, bytes);
    let open = true;
    const settle = (): boolean => {
      const was = open;
      open = false;
      if (was) this.#reservedBytes -= bytes;
      return was;
    };
    return {
      key,
      view,
      commit: (meta: ShardMeta): void => {
        if (!settle()) throw reservationOver(key);
        if (this.#closed) this.#memory.give(slot);
        else this.#insert({ key, meta, bytes, slot, view, leases: 0, dropped: false });
      },
      abort: () => {
        if (settle()) this.#memory.give(slot);
      },
    };
  }

  get(key: ShardKey): ShardLease | undefined {
    const entry = this.#index.get(key);
    if (entry === undefined) return undefined;
    entry.leases++;
    this.#leases++;
    let open = true;
    return {
      key: entry.key,
      meta: entry.meta,
      bytes: entry.bytes,
      view: entry.view,
      release: () => {
        if (!open) return;
        open = false;
        entry.leases--;
        this.#leases--;
        this.#freeUnused(entry);
      },
    };
  }

  drop(range: ShardRange): number {
    const dropped = this.#index.within(range);
    for (const entry of dropped) {
      this.#index.remove(entry.key);
      this.#discard(entry);
    }
    return dropped.length;
  }

  contents(range?: DataRange): StoredData[] {
    return this.#index.contents(range);
  }

  list(dataId: string, version?: bigint): StoredShard[] {
    return this.#index.list(dataId, version);
  }

  usage(): StoreUsage {
    return {
      shards: this.#index.count,
      bytes: this.#index.bytes,
      reservedBytes: this.#reservedBytes,
      heldBytes: this.#memory.heldBytes,
      leases: this.#leases,
      damaged: 0,
    };
  }

  close(): void {
    this.#closed = true;
    for (const dataId of this.#index.dataIds()) this.drop({ dataId });
    this.#memory.trim();
  }

  #insert(entry: Entry): void {
    const replaced = this.#index.set(entry);
    if (replaced !== undefined) this.#discard(replaced);
  }

  #discard(entry: Entry): void {
    entry.dropped = true;
    this.#freeUnused(entry);
  }

  #freeUnused(entry: Entry): void {
    if (!entry.dropped || entry.leases > 0) return;
    this.#memory.give(entry.slot);
    if (this.#closed) this.#memory.trim();
  }
}
