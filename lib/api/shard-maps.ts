import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { listShards, wholeOf } from '../cluster/transfer/list-shards.js';
import { decodeMapValue, encodeMapValue, isListing } from '../cluster/transfer/map-value.js';
import type { ListedShard } from '../cluster/transfer/messages.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Operation } from '../cluster/transfer/operation.js';
import type { PlacedShard } from '../cluster/transfer/shard-map.js';
import { type Coordinator, type KeyState, valueBytesMax } from '../coordination/coordinator.js';
import type { Roster } from '../node/roster.js';
import type { Holding } from './holding.js';
import type { NetNodes } from './net-nodes.js';

/** What a client knows of the shard map of data in the table of the net. */
export interface KnownMap {
  /** 0: there is none. */
  readonly version: number;
  /** Of the key in the table. */
  readonly tableVersion: number;
  /** It says where the shards lie, or that they do not; else the nodes are asked. */
  readonly isListed: boolean;
  /** Nobody else has, or had, this version: changes may be made under it. */
  readonly isOwn: boolean;
}

export interface ShardMapsOptions {
  readonly coordinator: Pick<Coordinator, 'get' | 'compareAndSet'>;
  readonly nodes: NetNodes;
  readonly roster: Roster;
}

/** For one question to the coordinator, or to a node. */
const answerMsMax = 10_000;
/** How often somebody else may come in between before an attempt is given up. */
const conflictsMax = 4;

/**
 * The shard maps that the clients of a net share, in the table of its coordinator. A net without one, or whose nodes all keep shards for one
 * client alone, in memory or embedded, has none: then nothing is claimed.
 *
 * Who changes shards claims the data first: that is the map as it was under a version of one's own, and nodes that have heard of it refuse
 * changes under older ones. Copies that were stored are published behind that, and copies that are to be dropped are dropped when a map without
 * them is published. So who dies in the middle leaves copies that no map names, and never a map that names copies which are gone.
 */
export class ShardMaps {
  readonly #options: ShardMapsOptions;

  constructor(options: ShardMapsOptions) {
    this.#options = options;
  }

  get areKept(): boolean {
    return this.#options.nodes.isCoordinated && this.#sharing().length > 0;
  }

  /** Of the map that is known: for who uses shards. 0 without one. */
  versionOf({ map }: Holding): number {
    return map?.version ?? 0;
  }

  /** Of the map that is claimed: for who changes shards. 0 without one. */
  ownVersionOf({ map }: Holding): number {
    return map?.isOwn === true ? map.version : 0;
  }

  /** `work` changes data, side by side with others who use them, and knows better than any map what lies where. */
  async whileChanging<T>(holding: Holding, work: () => Promise<T>): Promise<T> {
    holding.changes++;
    try {
      return await work();
    } finally {
      holding.changes--;
    }
  }

  /** Takes up the map as it is now. Fails as `Coordinator.get`, and as `NetNodes.coordinator`. */
  async read(holding: Holding, operation: Operation): Promise<void> {
    if (!this.areKept || holding.changes > 0) return;
    const state = await this.#get(holding, operation);
    // Somebody may have begun meanwhile.
    if (holding.changes === 0) this.#take(holding, state);
  }

  /** `read`, unless the coordinator is down and something is known: content that is found is right, wherever it lies. */
  async look(holding: Holding, operation: Operation): Promise<void> {
    try {
      await this.read(holding, operation);
    } catch (thrown) {
      const isDown =
        isPaipaiError(thrown, 'PAIPAI_ERR_COORDINATOR_DOWN') ||
        isPaipaiError(thrown, 'PAIPAI_ERR_PEER_CLOSED');
      if (!isDown || holding.shards.count === 0) throw thrown;
    }
  }

  /** `read`, unless one is known. */
  async ensure(holding: Holding, operation: Operation): Promise<void> {
    if (holding.map === undefined) await this.read(holding, operation);
  }

  /**
   * Takes up the map as it is now, and makes it one's own. False when no maps are kept, and then there is nothing to publish either.
   * @param seen a version that nodes have heard of: they may know more than a coordinator that has lost its table
   * Fails: PAIPAI_ERR_STALE_MAP when others come in between again and again; as `read`, and as `Coordinator.compareAndSet`.
   */
  async claim(holding: Holding, operation: Operation, seen = 0): Promise<boolean> {
    if (!this.areKept) return false;
    for (let conflicts = 0; conflicts < conflictsMax; conflicts++) {
      const state = await this.#get(holding, operation);
      // All that it says: what this client could not use, or has not published, is no reason to change it.
      this.#take(holding, state, true);
      const { isListed = false, version: known = 0 } = holding.map ?? {};
      // Above every version there was, also of a map that was there before: the table gives no version twice.
      const before = state.value === undefined ? state.asOf : known;
      const version = Math.max(before, seen) + 1;
      if (!(await this.#set(holding, operation, version, state.version, isListed))) continue;
      // What this client knows may be old, and what the nodes say is not.
      if (!isListed) await this.verify(holding, operation);
      return true;
    }
    throw stale(holding);
  }

  /** Looks what lies on the nodes that are there of data that are claimed; nothing that was begun by others changes that any more. */
  async verify(holding: Holding, operation: Operation): Promise<void> {
    const { shards } = holding;
    const answers = await operation.race(
      Promise.all(this.#sharing().map((link) => this.#list(link, holding, operation))),
    );
    const lists = answers.filter((list) => list !== undefined);
    if (shards.count === 0) {
      for (const { shard, holders } of wholeOf(lists) ?? []) {
        for (const nodeId of holders) shards.add(shard, shard.crc32c, nodeId);
      }
      return;
    }
    for (const [nodeId, listed] of lists) {
      const there = new Map(listed.map((shard) => [shard.index, shard]));
      const lies = (shard: PlacedShard): boolean => isSame(there.get(shard.index), shard);
      shards.retain(nodeId, lies);
      for (const shard of shards.list()) if (lies(shard)) shards.add(shard, shard.crc32c, nodeId);
    }
  }

  /**
   * Publishes what is known of data that were claimed, to which copies were added. When somebody else has come in between, what lies on the
   * nodes counts. Fails as `claim`, and with PAIPAI_ERR_STALE_MAP when that is less; whether the map was published is open then, unless with
   * PAIPAI_ERR_STALE_MAP.
   */
  async publish(holding: Holding, operation: Operation): Promise<void> {
    const { count } = holding.shards;
    for (let conflicts = 0; conflicts < conflictsMax; conflicts++) {
      if (await this.#publish(holding, operation)) return;
      await this.claim(holding, operation);
      await this.verify(holding, operation);
      // The others have dropped data, or there is a mixture of theirs and these.
      if (holding.shards.count < count) throw stale(holding);
    }
    throw stale(holding);
  }

  /**
   * Publishes what is known of data that were claimed, from which copies are to be dropped when this has settled with true. False when somebody
   * else has come in between: nothing may be dropped then, and what is known is what that one has published. Fails as `publish`.
   */
  async publishRemoval(holding: Holding, operation: Operation): Promise<boolean> {
    if (await this.#publish(holding, operation)) return true;
    await this.claim(holding, operation);
    await this.verify(holding, operation);
    return false;
  }

  /** After a node has refused work, because it had heard of version `seen`. Fails as `claim`. */
  async refresh(holding: Holding, operation: Operation, seen: number): Promise<void> {
    await this.read(holding, operation);
    // A coordinator with an older map than a node has lost its table.
    if (this.versionOf(holding) < seen) await this.claim(holding, operation, seen);
  }

  async #publish(holding: Holding, operation: Operation): Promise<boolean> {
    const { map } = holding;
    if (map?.isOwn !== true) return false;
    return this.#set(holding, operation, map.version + 1, map.tableVersion, true);
  }

  async #set(
    holding: Holding,
    operation: Operation,
    version: number,
    tableVersion: number,
    isListed: boolean,
  ): Promise<boolean> {
    const shards = isListed ? this.#shared(holding.shards.list()) : undefined;
    const value = encodeMapValue({ version, shards }, valueBytesMax);
    const key = keyOf(holding);
    const { coordinator } = this.#options;
    let map: KnownMap | undefined;
    try {
      const result = await coordinator.compareAndSet(key, tableVersion, value, limitsOf(operation));
      if (result.isSet) {
        map = { version, tableVersion: result.version, isListed: isListing(value), isOwn: true };
      }
      return result.isSet;
    } finally {
      // Not before: until then work goes on under the one that was known. If it fails, nothing is.
      holding.map = map;
    }
  }

  #get(holding: Holding, operation: Operation): Promise<KeyState> {
    return this.#options.coordinator.get(keyOf(holding), limitsOf(operation));
  }

  /** @param isClaimed what is known beside the map that is there already is forgotten */
  #take(holding: Holding, { value, version: tableVersion }: KeyState, isClaimed = false): void {
    if (value === undefined) {
      holding.map = { version: 0, tableVersion, isListed: false, isOwn: false };
      return;
    }
    const { map } = holding;
    const { version, shards } = decodeMapValue(value);
    const isKnown = map?.version === version && map.tableVersion === tableVersion;
    if (isKnown && !isClaimed) return;
    const isOwn = isKnown && map.isOwn;
    holding.map = { version, tableVersion, isListed: shards !== undefined, isOwn };
    if (shards !== undefined) this.#replace(holding, shards);
  }

  /** Copies that are this client's alone stand in no map. */
  #replace({ shards }: Holding, listed: readonly PlacedShard[]): void {
    const { roster } = this.#options;
    const before = shards.list();
    const isNone = listed.length === 0;
    shards.clear();
    for (const shard of listed) {
      shards.set({ ...shard, holders: shard.holders.map((name) => roster.idOf(name)) });
    }
    for (const shard of before) {
      if (!isNone && !isSame(listed[shard.index], shard)) continue;
      for (const nodeId of shard.holders) {
        if (roster.isShared(nodeId) === false) shards.add(shard, shard.crc32c, nodeId);
      }
    }
  }

  /** As others may know them: none, when all lie on nodes that are this client's alone. What lies nowhere any more is lost, and not unknown. */
  #shared(shards: readonly PlacedShard[]): PlacedShard[] {
    const { roster } = this.#options;
    const shared = shards.map((shard) => {
      const holders = shard.holders.filter((nodeId) => roster.isShared(nodeId) !== false);
      return { ...shard, holders: holders.map((nodeId) => roster.nameOf(nodeId)) };
    });
    const isHeld = shards.some(({ holders }) => holders.length > 0);
    return isHeld && shared.every(({ holders }) => holders.length === 0) ? [] : shared;
  }

  #sharing(): NodeLink[] {
    const { roster } = this.#options;
    return roster.living().filter(({ nodeId }) => roster.isShared(nodeId) === true);
  }

  /** Undefined of a node that goes away meanwhile: what is known of it stays, for it may come back with all that it has. */
  async #list(
    link: NodeLink,
    holding: Holding,
    operation: Operation,
  ): Promise<readonly [string, ListedShard[]] | undefined> {
    const { id, version } = holding.data;
    const { deadlineMs } = limitsOf(operation);
    const mapVersion = this.ownVersionOf(holding);
    try {
      return [link.nodeId, await listShards(link, id, version, deadlineMs, mapVersion)];
    } catch (thrown) {
      if (isPaipaiError(thrown, 'PAIPAI_ERR_NODE_LOST')) return undefined;
      throw thrown;
    }
  }
}

function limitsOf(operation: Operation): { deadlineMs: number; signal: AbortSignal } {
  return {
    deadlineMs: Math.min(answerMsMax, operation.remainingMs()),
    signal: operation.signal,
  };
}

/** In the table of the net. */
export const mapKeyStart = 'paipainet/shards/';

function keyOf({ data: { id, version } }: Holding): string {
  return `${mapKeyStart}${version}/${id}`;
}

function isSame(
  a: Pick<PlacedShard, 'offset' | 'bytes' | 'crc32c'> | undefined,
  b: PlacedShard,
): boolean {
  return a !== undefined && a.offset === b.offset && a.bytes === b.bytes && a.crc32c === b.crc32c;
}

function stale({ data }: Holding): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_STALE_MAP',
    `others change the shard map of data ${data.id} all the time`,
    { dataId: data.id },
  );
}
