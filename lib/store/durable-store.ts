import { checkInteger } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import { crc32c } from '../wire/crc32c.js';
import type { Change, Medium } from './medium.js';
import { checkShardBytes, reservationOver, storeClosed } from './shard-checks.js';
import { ShardIndex } from './shard-index.js';
import { recordBytes } from './shard-record.js';
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

export interface DurableStoreOptions {
  /** Most that shards take on disk, in whole pages of 4 KiB: 1 MiB or more. Default: what the disk holds. */
  readonly sizeLimitBytes?: number | undefined;
  /** Shared memory for shards on their way in and in use: 1 MiB or more, default 1 GiB. */
  readonly memoryLimitBytes?: number | undefined;
  /** Gets each piece of memory taken from the system before it is used, to give the system a hint about it. */
  readonly onSlab?: ((memory: SharedArrayBuffer) => void) | undefined;
  /** Checks what was read. Default: the one in TypeScript. */
  readonly crc32c?: ((bytes: Uint8Array) => number) | undefined;
}

const memoryLimitBytesDefault = 1024 ** 3;
const limitBytesMin = 1024 * 1024;
const diskPageBytes = 4096;

/** A call that waits for its turn to be written. */
type Task =
  | {
      readonly kind: 'put';
      readonly shard: StoredShard;
      readonly slot: Slot;
      readonly view: Uint8Array;
      settle(error?: Error): void;
    }
  | {
      readonly kind: 'drop';
      readonly range: ShardRange;
      settle(error: Error | undefined, count: number): void;
    };

/** A task with what it asks of the medium. */
interface Step {
  readonly task: Task;
  readonly changes: readonly Change[];
}

/**
 * Shards on a medium that outlives the process. What is there is known in memory, the content is read when it is asked for, and checked.
 *
 * Calls that change something wait in one queue. Whatever has come together while the medium was busy is its next turn, so that many shards
 * share one wait for the disk (and with one at a time nobody waits for company). What is known changes when a turn is on disk, in the order of
 * the calls: a drop behind a commit under way finds its shard.
 */
export class DurableStore implements ShardStore {
  readonly sizeLimitBytes: number;
  readonly isDurable = true;
  readonly #medium: Medium;
  readonly #memory: SlabMemory;
  readonly #crc32c: (bytes: Uint8Array) => number;
  readonly #index = new ShardIndex<StoredShard>();
  #queue: Task[] = [];
  /** The turns under way; never rejects. */
  #writing: Promise<void> | undefined;
  /** Shards that the turn under way changes: what the medium has of them and what is known may differ. */
  #changing: ReadonlySet<string> = new Set();
  #diskBytes = 0;
  #reservedBytes = 0;
  #reservedDiskBytes = 0;
  #leases = 0;
  #damaged = 0;
  #closing: Promise<void> | undefined;

  private constructor(medium: Medium, options: DurableStoreOptions) {
    const { sizeLimitBytes, memoryLimitBytes = memoryLimitBytesDefault, onSlab } = options;
    this.sizeLimitBytes = checkLimit('sizeLimitBytes', sizeLimitBytes ?? Number.MAX_SAFE_INTEGER);
    this.#medium = medium;
    this.#memory = new SlabMemory(checkLimit('memoryLimitBytes', memoryLimitBytes), onSlab);
    this.#crc32c = options.crc32c ?? ((bytes) => crc32c(bytes));
  }

  /** Takes the medium over, and closes it when this fails. @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, PAIPAI_ERR_STORE_FAILED. */
  static async open(medium: Medium, options: DurableStoreOptions = {}): Promise<DurableStore> {
    try {
      const store = new DurableStore(medium, options);
      const { shards, damaged } = await medium.load();
      for (const shard of shards) store.#insert(shard);
      store.#damaged = damaged;
      return store;
    } catch (thrown) {
      await medium.close();
      throw thrown;
    }
  }

  reserve(key: ShardKey, bytes: number): ShardReservation {
    if (this.#closing !== undefined) throw storeClosed(key);
    checkShardBytes(key, bytes);
    const diskBytes = diskBytesOf(bytes);
    const takenBytes = this.#diskBytes + this.#reservedDiskBytes;
    if (takenBytes + diskBytes > this.sizeLimitBytes) {
      throw new PaipaiError(
        'PAIPAI_ERR_STORE_FULL',
        `No room for ${bytes} bytes: the store takes ${takenBytes} of at most ${this.sizeLimitBytes}. ` +
          'Drop data, or raise the limit.',
        { dataId: key.dataId, shardIndex: key.index },
      );
    }
    const { slot, view } = this.#takeMemory(key, bytes);
    this.#reservedBytes += bytes;
    this.#reservedDiskBytes += diskBytes;
    let isOpen = true;
    const end = (): void => {
      this.#memory.give(slot);
      this.#reservedBytes -= bytes;
      this.#reservedDiskBytes -= diskBytes;
    };
    return {
      key,
      view,
      commit: (meta: ShardMeta): Promise<void> => {
        if (!isOpen) return Promise.reject(reservationOver(key));
        isOpen = false;
        if (this.#closing !== undefined) {
          end();
          return Promise.reject(storeClosed(key));
        }
        return new Promise((resolve, reject) => {
          this.#enqueue({
            kind: 'put',
            shard: { key, meta, bytes },
            slot,
            view,
            settle: (error) => {
              end();
              if (error === undefined) resolve();
              else reject(error);
            },
          });
        });
      },
      abort: () => {
        if (isOpen) end();
        isOpen = false;
      },
    };
  }

  async get(key: ShardKey): Promise<ShardLease | undefined> {
    const text = textOf(key);
    for (;;) {
      if (this.#closing !== undefined) throw storeClosed(key);
      const shard = this.#index.get(key);
      if (shard === undefined) return undefined;
      const lease = await this.#read(shard);
      if (lease !== undefined) return lease;
      // Something else lies there than what is known. That is a change under way, or one that came to its end meanwhile; else it is damage.
      if (this.#changing.has(text)) await this.#writing;
      else if (this.#index.get(key) === shard) throw this.#foundDamage(key);
    }
  }

  drop(range: ShardRange): Promise<number> {
    if (this.#closing !== undefined) return Promise.reject(storeClosed());
    return new Promise((resolve, reject) => {
      this.#enqueue({
        kind: 'drop',
        range,
        settle: (error, count) => (error === undefined ? resolve(count) : reject(error)),
      });
    });
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
      damaged: this.#damaged,
    };
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#writing;
      await this.#medium.close();
      this.#memory.trim();
    })();
    return this.#closing;
  }

  #takeMemory(key: ShardKey, bytes: number): { slot: Slot; view: Uint8Array } {
    const slot = this.#memory.take(bytes);
    if (slot !== undefined) {
      return { slot, view: new Uint8Array(slot.slab.memory, slot.offset, bytes) };
    }
    throw new PaipaiError(
      'PAIPAI_ERR_OVERLOADED',
      `no memory for ${bytes} bytes: shards on their way to and from the disk hold ${this.#memory.heldBytes} bytes`,
      { dataId: key.dataId, shardIndex: key.index },
    );
  }

  /** Undefined when what lies there is not what is known. */
  async #read({ key, meta, bytes }: StoredShard): Promise<ShardLease | undefined> {
    const { slot, view } = this.#takeMemory(key, bytes);
    let isWhole = false;
    try {
      isWhole = (await this.#medium.read(key, view)) && this.#crc32c(view) === meta.crc32c;
    } finally {
      if (!isWhole) this.#memory.give(slot);
    }
    if (!isWhole) return undefined;
    this.#leases++;
    let isOpen = true;
    const release = (): void => {
      if (!isOpen) return;
      isOpen = false;
      this.#leases--;
      this.#memory.give(slot);
    };
    return { key, meta, bytes, view, release };
  }

  #foundDamage({ dataId, index }: ShardKey): PaipaiError {
    this.#damaged++;
    return new PaipaiError(
      'PAIPAI_ERR_SHARD_CHECKSUM',
      `shard ${index} of data ${dataId} came to harm in the store: it does not match its checksum any more`,
      { dataId, shardIndex: index },
    );
  }

  #enqueue(task: Task): void {
    this.#queue.push(task);
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    // What the same turn of the loop brings along comes into the first turn too.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const tasks = this.#queue;
      this.#queue = [];
      const steps = this.#plan(tasks);
      const changes = steps.flatMap((step) => step.changes);
      this.#changing = new Set(changes.map((change) => textOf(keyOf(change))));
      const errors = changes.length === 0 ? [] : await this.#medium.write(changes);
      let at = 0;
      for (const step of steps) {
        this.#finish(step, errors.slice(at, at + step.changes.length));
        at += step.changes.length;
      }
      this.#changing = new Set();
    }
    this.#writing = undefined;
  }

  /** A drop takes what is known, and what comes before it in the same turn. */
  #plan(tasks: readonly Task[]): Step[] {
    const coming = new ShardIndex<StoredShard>();
    return tasks.map((task) => {
      if (task.kind === 'put') {
        coming.set(task.shard);
        return { task, changes: [{ kind: 'put', shard: task.shard, content: task.view }] };
      }
      const keys = new Map<string, ShardKey>();
      for (const { key } of [...this.#index.within(task.range), ...coming.within(task.range)]) {
        keys.set(textOf(key), key);
      }
      return { task, changes: Array.from(keys.values(), (key) => ({ kind: 'drop', key })) };
    });
  }

  #finish({ task, changes }: Step, errors: readonly (Error | undefined)[]): void {
    const error = errors.find((one) => one !== undefined);
    if (task.kind === 'put') {
      if (error === undefined) this.#insert(task.shard);
      task.settle(error);
      return;
    }
    let count = 0;
    for (const [at, change] of changes.entries()) {
      if (errors[at] === undefined && this.#remove(keyOf(change))) count++;
    }
    task.settle(error, count);
  }

  #insert(shard: StoredShard): void {
    const replaced = this.#index.set(shard);
    this.#diskBytes += diskBytesOf(shard.bytes);
    if (replaced !== undefined) this.#diskBytes -= diskBytesOf(replaced.bytes);
  }

  #remove(key: ShardKey): boolean {
    const removed = this.#index.remove(key);
    if (removed !== undefined) this.#diskBytes -= diskBytesOf(removed.bytes);
    return removed !== undefined;
  }
}

function checkLimit(name: string, bytes: number): number {
  return checkInteger(name, bytes, limitBytesMin, Number.MAX_SAFE_INTEGER);
}

function diskBytesOf(bytes: number): number {
  return Math.ceil((bytes + recordBytes) / diskPageBytes) * diskPageBytes;
}

function keyOf(change: Change): ShardKey {
  return change.kind === 'put' ? change.shard.key : change.key;
}

/** One text for each key: the numbers stand before the id, which may hold anything. */
function textOf({ dataId, version, index }: ShardKey): string {
  return `${index}/${version}/${dataId}`;
}
