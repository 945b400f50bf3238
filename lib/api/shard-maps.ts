import type { PaipaiCode } from '../base/codes.js';
import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { listShards, wholeOf } from '../cluster/transfer/list-shards.js';
import { decodeMapValue, encodeMapValue, isListing } from '../cluster/transfer/map-value.js';
import type { ListedShard } from '../cluster/transfer/messages.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Operation } from '../cluster/transfer/operation.js';
import type { PlacedShard } from '../cluster/transfer/shard-map.js';
import { type Coordinator, type KeyState, valueBytesMax } from '../coordination/coordinator.js';
import type { Roster } from '../node/roster.js';
import type { NodeList as ListOf } from './held.js';
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
  /** The highest token under which the data were changed; 0: none. */
  readonly fence: number;
}

export interface ShardMapsOptions {
  readonly coordinator: Pick<Coordinator, 'get' | 'compareAndSet'>;
  /** Whether somebody coordinates the net, or has. */
  readonly isCoordinated: () => boolean;
  readonly nodes: NetNodes;
  readonly roster: Roster;
}

type NodeList = ListOf<ListedShard>;

/** For one question to the coordinator, or to a node. */
const answerMsMax = 10_000;
/** Of a coordinator that cannot be asked. */
const silence: ReadonlySet<PaipaiCode> = new Set([
  'PAIPAI_ERR_COORDINATOR_DOWN',
  'PAIPAI_ERR_COORDINATOR_AMBIGUOUS',
  'PAIPAI_ERR_PEER_CLOSED',
  'PAIPAI_ERR_DEADLINE',
  'PAIPAI_ERR_OVERLOADED',
]);
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
    return this.#options.isCoordinated() && this.#sharing().length > 0;
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

  /** Takes up the map as it is now; of one that is not listed what the nodes hold. Fails as `Coordinator.get`, and as `NetNodes.coordinator`. */
  async read(holding: Holding, operation: Operation): Promise<void> {
    if (!this.areKept || holding.changes > 0) return;
    const found = foundIn(await this.#get(holding, operation));
    const isUnlisted = found.version > 0 && found.shards === undefined;
    if (isKnown(holding, found) && !(isUnlisted && holding.shards.count === 0)) return;
    const lists = isUnlisted ? await this.#lists(holding, operation, 0) : [];
    // Somebody may have begun meanwhile.
    if (holding.changes > 0) return;
    this.#take(holding, found);
    if (isUnlisted) this.#see(holding, lists);
  }

  /** `read`, unless nobody answers for the table and something is known: content that is found is right, wherever it lies. */
  async look(holding: Holding, operation: Operation): Promise<void> {
    try {
      await this.read(holding, operation);
    } catch (thrown) {
      operation.throwIfFailed();
      const isSilent = isPaipaiError(thrown) && silence.has(thrown.code);
      if (!isSilent || holding.shards.count === 0) throw thrown;
    }
  }

  /** `read`, unless one is known, by which the data lie somewhere. */
  async ensure(holding: Holding, operation: Operation): Promise<void> {
    const { map, shards } = holding;
    if (map === undefined || shards.count === 0) await this.read(holding, operation);
  }

  /**
   * Takes up the map as it is now, and makes it one's own. False when no maps are kept, and then there is nothing to publish either.
   * @param seenBefore a version that nodes have heard of: they may know more than a coordinator that has lost its table, or has an old one
   * Fails: PAIPAI_ERR_STALE_MAP when others come in between again and again; as `read`, and as `Coordinator.compareAndSet`; PAIPAI_ERR_PROTOCOL
   * when no version is left; PAIPAI_ERR_FENCED when the data were changed under a higher token than that of the operation.
   */
  async claim(holding: Holding, operation: Operation, seenBefore = 0): Promise<boolean> {
    if (!this.areKept) return false;
    let seen = seenBefore;
    for (let conflicts = 0; conflicts < conflictsMax; conflicts++) {
      const state = await this.#get(holding, operation);
      // All that it says: what this client could not use, or has not published, is no reason to change it.
      const found = foundIn(state);
      const { token = found.fence } = operation;
      if (token < found.fence) throw fenced(holding, token, found.fence);
      this.#take(holding, found);
      // Above every version there was, also of a map that was there before: the table gives no version twice.
      const before = found.version > 0 ? found.version : state.asOf;
      const version = Math.max(before, seen) + 1;
      if (!Number.isSafeInteger(version)) throw noneAfter(holding, version - 1);
      // Behind what the nodes have heard of, what it says is old.
      const isListed = found.shards !== undefined && seen <= before;
      const claimed = { version, fence: token, isListed };
      if (!(await this.#set(holding, operation, claimed, state.version))) continue;
      if (isListed) return true;
      try {
        // What this client knows may be old too, and what the nodes say is not.
        await this.verify(holding, operation);
        return true;
      } catch (thrown) {
        const { mapVersion = 0 } = isPaipaiError(thrown, 'PAIPAI_ERR_STALE_MAP') ? thrown : {};
        if (mapVersion <= version) throw thrown;
        seen = mapVersion;
      }
    }
    throw stale(holding);
  }

  /** Looks what lies on the nodes that are there of data that are claimed; nothing that was begun by others changes that any more. */
  async verify(holding: Holding, operation: Operation): Promise<void> {
    this.#see(holding, await this.#lists(holding, operation, this.ownVersionOf(holding)));
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
    const { version, fence, tableVersion } = map;
    const published = { version: version + 1, fence, isListed: true };
    return this.#set(holding, operation, published, tableVersion);
  }

  async #set(
    holding: Holding,
    operation: Operation,
    { version, fence, isListed }: Pick<KnownMap, 'version' | 'fence' | 'isListed'>,
    tableVersion: number,
  ): Promise<boolean> {
    const shards = isListed ? this.#shared(holding.shards.list()) : undefined;
    const value = encodeMapValue({ version, shards, fence }, valueBytesMax);
    const key = keyOf(holding);
    const { coordinator } = this.#options;
    let map: KnownMap | undefined;
    try {
      const result = await coordinator.compareAndSet(key, tableVersion, value, limitsOf(operation));
      if (result.isSet) {
        map = {
          version,
          fence,
          tableVersion: result.version,
          isListed: isListing(value),
          isOwn: true,
        };
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

  #take(holding: Holding, found: FoundMap): void {
    const { version, tableVersion, shards, fence } = found;
    const isListed = shards !== undefined;
    const isOwn = isKnown(holding, found) && holding.map?.isOwn === true;
    holding.map = { version, tableVersion, isListed, isOwn, fence };
    if (!isListed) return;
    const { roster } = this.#options;
    const listed = shards.map((shard) => ({
      ...shard,
      holders: shard.holders.map((name) => roster.idOf(name)),
    }));
    // Copies that are this client's alone stand in no map.
    this.#replace(holding, listed, (nodeId) => roster.isShared(nodeId) === false);
  }

  /** Takes up what nodes have told: which shards there are, if no map says it, and where those lie. What is known of the other nodes stays. */
  #see(holding: Holding, lists: readonly NodeList[]): void {
    const { shards, map } = holding;
    const whole = shards.count === 0 || map?.isListed !== true ? wholeOf(lists) : undefined;
    if (whole !== undefined) {
      const told = new Set(lists.map(([nodeId]) => nodeId));
      const listed = whole.map(({ shard, holders }) => ({ ...shard, holders }));
      this.#replace(holding, listed, (nodeId) => !told.has(nodeId));
      return;
    }
    for (const [nodeId, listed] of lists) {
      const there = new Map(listed.map((shard) => [shard.index, shard]));
      const lies = (shard: PlacedShard): boolean => isSame(there.get(shard.index), shard);
      shards.retain(nodeId, lies);
      for (const shard of shards.list()) if (lies(shard)) shards.add(shard, shard.crc32c, nodeId);
    }
  }

  /** With copies of the same that were known before on nodes that `stays` names. */
  #replace(
    { shards }: Holding,
    listed: readonly PlacedShard[],
    stays: (nodeId: string) => boolean,
  ): void {
    const before = shards.list();
    const isNone = listed.length === 0;
    shards.clear();
    for (const shard of listed) shards.set(shard);
    for (const shard of before) {
      if (!isNone && !isSame(listed[shard.index], shard)) continue;
      for (const nodeId of shard.holders) {
        if (stays(nodeId)) shards.add(shard, shard.crc32c, nodeId);
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

  /**
   * What lies on the nodes that are there, for a claim if there is one: fails with PAIPAI_ERR_STALE_MAP, of the latest that they have heard of. Those that go away meanwhile, or do not answer, may be back with all that
   * they have.
   */
  async #lists(
    { data: { id, version } }: Holding,
    operation: Operation,
    mapVersion: number,
  ): Promise<NodeList[]> {
    const { deadlineMs } = limitsOf(operation);
    let overtaking: PaipaiError | undefined;
    const asking = this.#sharing().map(async (link): Promise<NodeList | undefined> => {
      try {
        return [link.nodeId, await listShards(link, id, version, deadlineMs, mapVersion)];
      } catch (thrown) {
        operation.throwIfFailed();
        const isSilent =
          isPaipaiError(thrown, 'PAIPAI_ERR_NODE_LOST') ||
          isPaipaiError(thrown, 'PAIPAI_ERR_DEADLINE');
        if (isSilent) return undefined;
        if (!isPaipaiError(thrown, 'PAIPAI_ERR_STALE_MAP')) throw thrown;
        const latest = overtaking?.mapVersion ?? 0;
        if (overtaking === undefined || (thrown.mapVersion ?? 0) > latest) overtaking = thrown;
        return undefined;
      }
    });
    const lists = await operation.race(Promise.all(asking));
    if (overtaking !== undefined) throw overtaking;
    return lists.filter((list) => list !== undefined);
  }
}

/** As the table has it. */
interface FoundMap {
  /** 0: there is none. */
  readonly version: number;
  readonly tableVersion: number;
  readonly shards: readonly PlacedShard[] | undefined;
  readonly fence: number;
}

function foundIn({ value, version: tableVersion }: KeyState): FoundMap {
  if (value === undefined) return { version: 0, tableVersion, shards: undefined, fence: 0 };
  return { ...decodeMapValue(value), tableVersion };
}

function isKnown({ map }: Holding, { version, tableVersion }: FoundMap): boolean {
  return map?.version === version && map.tableVersion === tableVersion;
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

function fenced({ data }: Holding, token: number, fence: number): PaipaiError {
  const given = token === 0 ? 'without a token' : `under token ${token}`;
  return new PaipaiError(
    'PAIPAI_ERR_FENCED',
    `data ${data.id} were changed under token ${fence}, and are to be changed ${given}`,
    { dataId: data.id },
  );
}

function noneAfter({ data }: Holding, version: number): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_PROTOCOL',
    `nodes have heard of version ${version} of the shard map of data ${data.id}, and there is none after it`,
    { dataId: data.id },
  );
}

function stale({ data }: Holding): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_STALE_MAP',
    `others change the shard map of data ${data.id} all the time`,
    { dataId: data.id },
  );
}
