import { checkInteger } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import { shardBytesMax } from '../wire/shard-header.js';
import { SlabMemory, type Slot } from './slab-memory.js';
import type {
  ShardKey,
  ShardLease,
  ShardReservation,
  ShardStore,
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

/** Shards in shared memory, which ends with the process. */
export class MemoryStore implements ShardStore {
  readonly sizeLimitBytes: number;
  readonly #memory: SlabMemory;
  readonly #shards = new Map<string, Map<bigint, Map<number, Entry>>>();
  #shardCount = 0;
  #bytes = 0;
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

  reserve(key: ShardKey, bytes: number): ShardReservation {
    const { dataId, index: shardIndex } = key;
    if (this.#closed) {
      throw new PaipaiError('PAIPAI_ERR_CLOSED', 'The store is closed.', { dataId, shardIndex });
    }
    if (!Number.isSafeInteger(bytes) || bytes < 1 || bytes > shardBytesMax) {
      throw new PaipaiError('PAIPAI_ERR_SHARD_SIZE', `A shard cannot have ${bytes} bytes.`, {
        dataId,
        shardIndex,
      });
    }
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
      commit: (meta) => {
        if (!settle()) {
          throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'The reservation is over.', {
            dataId,
            shardIndex,
          });
        }
        if (this.#closed) this.#memory.give(slot);
        else this.#insert({ key, meta, bytes, slot, view, leases: 0, dropped: false });
      },
      abort: () => {
        if (settle()) this.#memory.give(slot);
      },
    };
  }

  get(key: ShardKey): ShardLease | undefined {
    const entry = this.#shards.get(key.dataId)?.get(key.version)?.get(key.index);
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

  drop({ dataId, version, index }: ShardKey): boolean {
    const versions = this.#shards.get(dataId);
    const shards = versions?.get(version);
    const entry = shards?.get(index);
    if (versions === undefined || shards === undefined || entry === undefined) return false;
    shards.delete(index);
    if (shards.size === 0) versions.delete(version);
    if (versions.size === 0) this.#shards.delete(dataId);
    this.#discard(entry);
    return true;
  }

  dropData(dataId: string, version?: bigint): number {
    const dropped = this.list(dataId, version);
    for (const { key } of dropped) this.drop(key);
    return dropped.length;
  }

  list(dataId: string, version?: bigint): StoredShard[] {
    const versions = [...(this.#shards.get(dataId) ?? [])]
      .filter(([stored]) => version === undefined || stored === version)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return versions.flatMap(([, shards]) =>
      [...shards.values()]
        .sort((a, b) => a.key.index - b.key.index)
        .map(({ key, meta, bytes }) => ({ key, meta, bytes })),
    );
  }

  usage(): StoreUsage {
    return {
      shards: this.#shardCount,
      bytes: this.#bytes,
      reservedBytes: this.#reservedBytes,
      heldBytes: this.#memory.heldBytes,
      leases: this.#leases,
    };
  }

  close(): void {
    this.#closed = true;
    for (const dataId of [...this.#shards.keys()]) this.dropData(dataId);
    this.#memory.trim();
  }

  #insert(entry: Entry): void {
    const { dataId, version, index } = entry.key;
    this.drop(entry.key);
    const versions = this.#shards.get(dataId) ?? new Map<bigint, Map<number, Entry>>();
    const shards = versions.get(version) ?? new Map<number, Entry>();
    this.#shards.set(dataId, versions);
    versions.set(version, shards);
    shards.set(index, entry);
    this.#shardCount++;
    this.#bytes += entry.bytes;
  }

  #discard(entry: Entry): void {
    entry.dropped = true;
    this.#shardCount--;
    this.#bytes -= entry.bytes;
    this.#freeUnused(entry);
  }

  #freeUnused(entry: Entry): void {
    if (!entry.dropped || entry.leases > 0) return;
    this.#memory.give(entry.slot);
    if (this.#closed) this.#memory.trim();
  }
}
