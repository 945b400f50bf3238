import { deferred } from '../base/deferred.js';
import type { Operation } from '../cluster/transfer/operation.js';
import { ShardMap } from '../cluster/transfer/shard-map.js';
import type { Data } from './data.js';
import type { KnownMap } from './shard-maps.js';

/** Data in the net, where their shards lie, and who works on them when. */
export class Holding {
  readonly data: Data;
  readonly shards: ShardMap = new ShardMap();
  /** What is known of their map in the table of the net; undefined as long as nobody has looked. */
  map: KnownMap | undefined;
  /** Changes of claimed data under way, by which more is known than by any map. */
  changes = 0;
  /** Somebody has brought them to this node, and not to where placement puts them. */
  pinnedTo: string | undefined;
  /** Work that takes shards away, or adds copies, has them for itself; this settles with the last of it. */
  #exclusive: Promise<unknown> = Promise.resolve();
  /** Settles with all work there is, also with that which goes side by side. */
  #busy: Promise<unknown> = Promise.resolve();
  /** Of work side by side one at a time brings shards that lie nowhere yet; settles with the last. */
  #bringing: Promise<unknown> = Promise.resolve();

  constructor(data: Data) {
    this.data = data;
  }

  /** Settles when nobody works on the data any more. */
  get idle(): Promise<unknown> {
    return this.#busy;
  }

  /** Waits for exclusive work on the data that came before, then works beside others; exclusive work that comes later waits. */
  async sideBySide<T>(operation: Pick<Operation, 'race'>, work: () => Promise<T>): Promise<T> {
    const before = this.#exclusive;
    const done = deferred<void>();
    this.#busy = Promise.all([this.#busy, done.promise]);
    try {
      await operation.race(before);
      return await work();
    } finally {
      done.resolve();
    }
  }

  /** Waits for all work on the data that came before, then works alone on them. */
  async exclusively<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    const before = this.#busy;
    const done = deferred<void>();
    this.#exclusive = before.then(() => done.promise);
    this.#busy = this.#exclusive;
    try {
      await operation.race(before);
      return await work();
    } finally {
      done.resolve();
    }
  }

  /** Inside of work side by side: settles when nobody brings shards any more, so that those which are known are all. */
  brought(operation: Operation): Promise<unknown> {
    return operation.race(this.#bringing);
  }

  /** Inside of work side by side: has `work` bring shards, unless some are known once others that bring them are done. */
  async bring<T>(operation: Operation, work: () => Promise<T>): Promise<T | undefined> {
    const before = this.#bringing;
    const done = deferred<void>();
    this.#bringing = before.then(() => done.promise);
    try {
      await operation.race(before);
      return this.shards.count > 0 ? undefined : await work();
    } finally {
      done.resolve();
    }
  }
}
