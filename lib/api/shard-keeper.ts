import type { Env } from '../base/env.js';
import { isPaipaiError } from '../base/errors.js';
import { type Move, planMoves } from '../cluster/placement/moves.js';
import {
  createPlacement,
  type Placement,
  type PlacementNode,
  type PlacementStrategy,
  planShards,
  shardKey,
} from '../cluster/placement/placement.js';
import { type Fetch, fetchInOrder, fetchShards } from '../cluster/transfer/fetch-shards.js';
import { listData } from '../cluster/transfer/list-data.js';
import { listShards, wholeOf } from '../cluster/transfer/list-shards.js';
import { lostShards } from '../cluster/transfer/lost-shards.js';
import type { ListedShard } from '../cluster/transfer/messages.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Operation } from '../cluster/transfer/operation.js';
import { repairShards } from '../cluster/transfer/repair-shards.js';
import type { RepairReport } from '../cluster/transfer/report.js';
import { type Copying, ShardCopier } from '../cluster/transfer/shard-copier.js';
import type { PlacedShard } from '../cluster/transfer/shard-map.js';
import type { ShardTools } from '../cluster/transfer/shard-tools.js';
import type { Roster } from '../node/roster.js';
import type { Data } from './data.js';
import { heldData, heldShards, type NodeList } from './held.js';
import type { Holding } from './holding.js';
import type { ShardMaps } from './shard-maps.js';
import type { Explanation, HeldData, HeldShards } from './types.js';

export interface KeeperOptions {
  readonly env: Env;
  readonly roster: Roster;
  readonly maps: ShardMaps;
  readonly tools: ShardTools;
  /** Id of whoever moves shards. */
  readonly sourceId: string;
  readonly strategy: PlacementStrategy;
  readonly weightOf: (nodeId: string) => number;
  /** Whether new copies may go to the node. */
  readonly isTaker: (nodeId: string) => boolean;
}

/** By node on disk that has told. */
export type HeldBefore = ReadonlyMap<string, readonly ListedShard[]>;

/** For one list of what a node holds. */
const listMsMax = 10_000;

/** Finds the copies of shards again: for reading, for making those that are missing, for saying where they are. */
export class ShardKeeper {
  readonly #options: KeeperOptions;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** @param totalBytes of all copies, where it is known */
  placementOver(links: readonly NodeLink[], totalBytes: number | undefined): Placement {
    const { strategy, weightOf } = this.#options;
    const nodes = links.map(({ nodeId }) => ({ id: nodeId, weight: weightOf(nodeId) }));
    return createPlacement(strategy, nodes, totalBytes);
  }

  /** Takes what nodes hold of the data on disk as transferred, if nothing is known of them yet and that is all of this version. */
  async find(holding: Holding, operation: Operation): Promise<void> {
    await holding.bring(operation, () => this.#find(holding, operation));
  }

  async #find(holding: Holding, operation: Operation): Promise<void> {
    const { roster, maps } = this.#options;
    const { data, shards } = holding;
    await maps.ensure(holding, operation);
    if (shards.count > 0 || holding.map?.isListed === true) return;
    const durable = roster.living().filter(({ nodeId }) => roster.isDurable(nodeId));
    const lists = await this.#listsOf(data, durable, operation);
    for (const { shard, holders } of wholeOf(lists) ?? []) {
      for (const nodeId of holders) shards.add(shard, shard.crc32c, nodeId);
    }
  }

  /** What others, or this client at another time, have brought of the data to nodes on disk; those that do not tell are not in it. */
  async heldBefore(
    { id, version }: Data,
    links: readonly NodeLink[],
    operation: Operation,
  ): Promise<HeldBefore> {
    const deadlineMs = Math.min(listMsMax, operation.remainingMs());
    const durable = links.filter(({ nodeId }) => this.#options.roster.isDurable(nodeId));
    const lists = durable.map(
      async (link) => [link.nodeId, await listShards(link, id, version, deadlineMs)] as const,
    );
    const told = await operation.race(Promise.allSettled(lists));
    return new Map(told.flatMap((list) => (list.status === 'fulfilled' ? [list.value] : [])));
  }

  /** Fails as `Net.contents` does. */
  async contents(operation: Operation, dataId?: string): Promise<HeldData[]> {
    const lists = await this.#askEach(
      this.#options.roster.living(),
      operation,
      (link, deadlineMs) => listData(link, deadlineMs, dataId),
    );
    return heldData(lists);
  }

  /** Fails as `Net.shardsOf` does. */
  async shardsOf(data: Data, operation: Operation): Promise<HeldShards> {
    const lists = await this.#listsOf(data, this.#options.roster.living(), operation);
    const isWhole = wholeOf(lists) !== undefined;
    return { dataId: data.id, version: data.version, isWhole, shards: heldShards(lists) };
  }

  #listsOf(
    { id, version }: Data,
    links: readonly NodeLink[],
    operation: Operation,
  ): Promise<NodeList<ListedShard>[]> {
    return this.#askEach(links, operation, (link, deadlineMs) =>
      listShards(link, id, version, deadlineMs),
    );
  }

  /** What each node lists; one that is gone holds nothing that could be found. */
  #askEach<T>(
    links: readonly NodeLink[],
    operation: Operation,
    list: (link: NodeLink, deadlineMs: number) => Promise<T[]>,
  ): Promise<NodeList<T>[]> {
    const deadlineMs = Math.min(listMsMax, operation.remainingMs());
    const listing = links.map(async (link) => {
      return [link.nodeId, await list(link, deadlineMs).catch(noneOfLost)] as const;
    });
    return operation.race(Promise.all(listing));
  }

  /** Looks what a node that was away still has of the data. */
  async look({ data, shards }: Holding, link: NodeLink): Promise<void> {
    if (!shards.holders().has(link.nodeId)) return;
    const listed = await listShards(link, data.id, data.version, listMsMax);
    const sums = new Map(listed.map(({ index, crc32c }) => [index, crc32c]));
    shards.retain(link.nodeId, ({ index, crc32c }) => sums.get(index) === crc32c);
  }

  /** Fails as `Net.read` does. */
  async read(holding: Holding, operation: Operation): Promise<Uint8Array> {
    this.checkHeld(holding);
    return fetchShards(this.#fetchOf(holding, operation), holding.shards.list());
  }

  /** Fails as `Net.readEach` does. */
  async readEach(
    holding: Holding,
    operation: Operation,
    take: (content: Uint8Array, offset: number) => void | Promise<void>,
  ): Promise<void> {
    this.checkHeld(holding);
    await fetchInOrder(this.#fetchOf(holding, operation), holding.shards.list(), take);
  }

  /** @param note hears of each copy made */
  async repair(
    holding: Holding,
    operation: Operation,
    note: (nodeId: string, index: number) => void = () => {},
  ): Promise<RepairReport> {
    const { env, roster, maps, isTaker } = this.#options;
    const { data, shards } = holding;
    const all = shards.list();
    const links = roster.living();
    const takers = links.filter(({ nodeId }) => isTaker(nodeId));
    const count = Math.min(data.replicas, takers.length);
    const placement = this.placementOver(takers, shards.extent().totalBytes * data.replicas);
    return repairShards(
      {
        env,
        fetch: this.#fetchOf(holding, operation),
        copying: this.#copyingOf(holding, links, operation, maps.ownVersionOf(holding)),
        replicas: data.replicas,
        targetsOf({ index, bytes }, holders) {
          const keepers = holders.filter(isTaker);
          if (keepers.length >= count) return [];
          // First the nodes on which the shard belongs.
          const belongs = placement.placeCopies(shardKey(data.id, index), bytes, count);
          const ids = new Set([...belongs, ...takers.map(({ nodeId }) => nodeId)]);
          const free = [...ids].filter((nodeId) => !holders.includes(nodeId));
          return free.slice(0, count - keepers.length);
        },
        onStored(shard, nodeId) {
          if (shards.add(shard, shard.crc32c, nodeId)) note(nodeId, shard.index);
        },
      },
      all,
    );
  }

  /** What has to move for the data to lie on `nodes` as placement says. */
  moves({ data, shards, pinnedTo }: Holding, nodes: readonly PlacementNode[]): Move[] {
    const all = shards.list();
    if (all.length === 0 || nodes.length === 0) return [];
    // They stay where somebody has put them, as long as that node does.
    const isKept = pinnedTo !== undefined && nodes.some(({ id }) => id === pinnedTo);
    if (isKept && all.every(({ index }) => shards.isHeldBy(index, pinnedTo))) return [];
    const copies = Math.min(data.replicas, nodes.length);
    const placement = createPlacement(
      this.#options.strategy,
      nodes,
      shards.extent().totalBytes * copies,
    );
    const present = this.#options.roster.living().map(({ nodeId }) => nodeId);
    return planMoves(data.id, all, placement, copies, new Set(present));
  }

  /** Makes the copies that `moves`, of some shards of the data, ask for; `onStored` hears of each. Fails as `repairShards`. */
  async copy(
    holding: Holding,
    moves: readonly Move[],
    operation: Operation,
    onStored: (shard: PlacedShard) => void,
  ): Promise<void> {
    const { env, roster, maps } = this.#options;
    const { data, shards } = holding;
    const links = roster.living();
    const targets = new Map(moves.map(({ index, to }) => [index, to]));
    const present = new Set(links.map(({ nodeId }) => nodeId));
    await repairShards(
      {
        env,
        fetch: this.#fetchOf(holding, operation),
        copying: this.#copyingOf(holding, links, operation, maps.ownVersionOf(holding)),
        replicas: data.replicas,
        targetsOf: ({ index }, holders) =>
          (targets.get(index) ?? []).filter((id) => present.has(id) && !holders.includes(id)),
        onStored(shard, nodeId) {
          if (shards.add(shard, shard.crc32c, nodeId)) onStored(shard);
        },
      },
      shards.list().filter(({ index }) => targets.has(index)),
    );
  }

  explain({ data, shards }: Holding): Explanation {
    const { roster, strategy } = this.#options;
    const { id: dataId, replicas } = data;
    const all = shards.list();
    const links = roster.living();
    const copies = Math.min(replicas, links.length);
    const totalBytes = shards.extent().totalBytes * replicas;
    const planned =
      copies === 0 ? [] : planShards(dataId, all, this.placementOver(links, totalBytes), copies);
    return {
      dataId,
      replicas,
      placement: strategy,
      shards: all.map(({ index, offset, bytes, holders }, at) => {
        const nodeIds = holders.filter((id) => roster.isLiving(id));
        const lostNodeIds = holders.filter((id) => !roster.isLiving(id));
        const belongsTo = planned[at]?.nodeIds ?? [];
        const missing = Math.max(0, replicas - nodeIds.length);
        return { index, offset, bytes, nodeIds, lostNodeIds, belongsTo, missing };
      }),
    };
  }

  /** Whether each shard has `copies` on nodes that are there. */
  isHeld({ shards }: Holding, copies: number): boolean {
    return this.#thin(shards.list(), copies).length === 0;
  }

  /**
   * @param nodeId of the node that has to have them, if it is a certain one
   * @throws PaipaiError PAIPAI_ERR_NODE_LOST when some shard has fewer than `copies` on nodes that are there.
   */
  checkHeld({ data, shards }: Holding, copies = 1, nodeId?: string): void {
    const thin = this.#thin(shards.list(), copies, nodeId);
    if (thin.length > 0) throw lostShards(data.id, thin);
  }

  /** Ids of the nodes that hold some and went away. */
  awayFrom({ shards }: Holding): string[] {
    return [...shards.holders()].filter((nodeId) => !this.#options.roster.isLiving(nodeId));
  }

  #thin(shards: readonly PlacedShard[], copies: number, only?: string): PlacedShard[] {
    const links = this.#options.roster.living();
    const ids = new Set(links.map(({ nodeId }) => nodeId).filter((id) => id === (only ?? id)));
    return shards.filter(({ holders }) => holders.filter((id) => ids.has(id)).length < copies);
  }

  #fetchOf(holding: Holding, operation: Operation): Fetch {
    const { data, shards } = holding;
    const { roster } = this.#options;
    return {
      operation,
      dataId: data.id,
      version: data.version,
      linksFor: (shard) => {
        const living = shard.holders.filter((nodeId) => roster.isLiving(nodeId));
        if (living.length === 0) throw lostShards(data.id, [shard]);
        // Which of them comes first goes round, so that all of them work.
        const first = shard.index % living.length;
        return [...living.slice(first), ...living.slice(0, first)].map((id) => roster.link(id));
      },
      onDamaged: async (shard, nodeId, content) => {
        // It was dropped there meanwhile, because it is not needed.
        if (!shards.isHeldBy(shard.index, nodeId)) return;
        try {
          await this.#replace(holding, shard, nodeId, content, operation);
        } catch {
          // The content is there all the same; of this copy nothing is expected any more.
          shards.remove(shard.index, nodeId);
        }
      },
    };
  }

  async #replace(
    holding: Holding,
    shard: PlacedShard,
    nodeId: string,
    content: Uint8Array,
    operation: Operation,
  ): Promise<void> {
    const links = [this.#options.roster.link(nodeId)];
    // It takes the place of one that the map names, whoever has published that.
    const mapVersion = this.#options.maps.versionOf(holding);
    const copier = new ShardCopier(this.#copyingOf(holding, links, operation, mapVersion));
    try {
      await copier.copy(shard, content, nodeId);
    } finally {
      copier.close();
    }
  }

  #copyingOf(
    { data, shards }: Holding,
    links: readonly NodeLink[],
    operation: Operation,
    mapVersion: number,
  ): Copying {
    const { env, tools, sourceId } = this.#options;
    return {
      clock: env.clock,
      operation,
      shipment: { dataId: data.id, version: data.version, sourceId, mapVersion },
      extent: shards.extent(),
      tools,
      links,
    };
  }
}

/** A node that is gone holds nothing that could be found. */
function noneOfLost(thrown: unknown): [] {
  if (isPaipaiError(thrown, 'PAIPAI_ERR_NODE_LOST')) return [];
  throw thrown;
}
