import { PaipaiError } from '../base/errors.js';
import { shardKey } from '../cluster/placement/placement.js';
import { dropShards } from '../cluster/transfer/drop-shards.js';
import { isSameShard, listShards } from '../cluster/transfer/list-shards.js';
import type { ListedShard } from '../cluster/transfer/messages.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Operation } from '../cluster/transfer/operation.js';
import type { Progress, TransferReport } from '../cluster/transfer/report.js';
import { type Transfer, transferData } from '../cluster/transfer/transfer-data.js';
import { shardCountMax } from '../data/shard.js';
import type { PassingTransfer } from '../processing/process-data.js';
import type { Data } from './data.js';
import type { Holding } from './holding.js';
import type { HeldBefore } from './shard-keeper.js';
import type { StartedNet } from './started-net.js';

export interface TransferCall {
  /** Where everything goes; undefined: where placement puts it. */
  readonly nodeId: string | undefined;
  /** Copies of each shard that must be confirmed. */
  readonly confirm: number;
  readonly onProgress: (progress: Progress) => void;
}

/** Of no shard. */
const noIndex = shardCountMax;

/** What a node may take to say which of the shards that it had are as they were. */
const listMsMax = 1_000;

/** Copies that a transfer has added, by node. */
class Added {
  readonly byNode = new Map<string, number[]>();

  note(nodeId: string, index: number): void {
    const indexes = this.byNode.get(nodeId);
    if (indexes === undefined) this.byNode.set(nodeId, [index]);
    else indexes.push(index);
  }
}

/** Brings data to the nodes of a net. */
export class ShardTransfers {
  readonly #net: StartedNet;

  constructor(net: StartedNet) {
    this.#net = net;
  }

  /** Fails as `Net.transfer` does; what it had stored by then is dropped, and what nodes had before is not. */
  transfer(holding: Holding, call: TransferCall, operation: Operation): Promise<TransferReport> {
    return this.#net.maps.whileChanging(holding, () => this.#transfer(holding, call, operation));
  }

  async #transfer(
    holding: Holding,
    { nodeId, confirm, onProgress }: TransferCall,
    operation: Operation,
  ): Promise<TransferReport> {
    const { data, shards } = holding;
    const { keeper, maps } = this.#net;
    const ids = nodeId === undefined ? this.#net.nodes.takers().map(({ id }) => id) : [nodeId];
    const links = ids.map((id) => this.#net.roster.link(id));
    const copies = nodeId === undefined ? data.replicas : 1;
    checkNodeCount(data, nodeId === undefined ? links.length : data.replicas);
    const isMapped = await maps.claim(holding, operation);
    const place = await this.#place(data, links, copies);
    const before = await keeper.heldBefore(data, links, operation);
    const known = new Set(shards.list().map(({ index }) => index));
    const added = new Added();
    let isPublishing = false;
    try {
      const report = await transferData({
        ...this.passing(holding, links, operation),
        place,
        confirm,
        returns: this.#net.nodes.returns,
        onProgress,
        onStored(cut, storedBy, crc32c) {
          if (shards.add(cut, crc32c, storedBy)) added.note(storedBy, cut.index);
          return undefined;
        },
      });
      // What lay there before may have been cut into more.
      for (const { index } of shards.list()) if (index >= report.shards) shards.forget(index);
      await this.#settle(holding, nodeId, confirm, operation, added);
      if (isMapped) {
        isPublishing = true;
        await maps.publish(holding, operation);
        // Somebody else may have come in between.
        keeper.checkHeld(holding, confirm, nodeId);
      }
      holding.pinnedTo = nodeId;
      return report;
    } catch (thrown) {
      // A map may name the copies by now, and then they stay.
      if (!isPublishing) await this.#undo(holding, links, known, added, before);
      throw thrown;
    }
  }

  /** A transfer as far as it is the same whether the shards stay on `links` or pass through. */
  passing(holding: Holding, links: readonly NodeLink[], operation: Operation): PassingTransfer {
    const { env, engine, clientId, maps } = this.#net;
    return {
      env,
      operation,
      cargo: holding.data,
      sourceId: clientId,
      mapVersion: maps.ownVersionOf(holding),
      tools: engine,
      links,
    };
  }

  /** Where each shard goes that stays. */
  async #place(data: Data, links: readonly NodeLink[], copies: number): Promise<Transfer['place']> {
    const { env, keeper } = this.#net;
    // Measured here as for a plan, so that the shards go where the plan has said.
    const sizeBytes = await data.source.measure(env);
    const totalBytes = sizeBytes === undefined ? undefined : sizeBytes * copies;
    const placement = keeper.placementOver(links, totalBytes);
    return ({ index, bytes }) => placement.placeCopies(shardKey(data.id, index), bytes, copies);
  }

  /**
   * Sees to it that what was confirmed is still there at the end of a transfer: some of it lies with nodes that went away afterwards, or came
   * back without it.
   */
  async #settle(
    holding: Holding,
    nodeId: string | undefined,
    confirm: number,
    operation: Operation,
    added: Added,
  ): Promise<void> {
    const { keeper, nodes } = this.#net;
    const { returns } = nodes;
    if (nodeId !== undefined) {
      keeper.checkHeld(holding, confirm, nodeId);
    } else if (!keeper.isHeld(holding, confirm)) {
      const away = keeper.awayFrom(holding).filter((id) => returns.isAwaited(id));
      await Promise.all(away.map((id) => returns.wait(id, operation)));
      operation.throwIfFailed();
      if (!keeper.isHeld(holding, confirm)) {
        await keeper.repair(holding, operation, (id, index) => added.note(id, index));
      }
      keeper.checkHeld(holding, confirm);
    }
  }

  async #undo(
    holding: Holding,
    links: readonly NodeLink[],
    known: ReadonlySet<number>,
    { byNode }: Added,
    before: HeldBefore,
  ): Promise<void> {
    const { roster, maps } = this.#net;
    const { data, shards } = holding;
    const mapVersion = maps.ownVersionOf(holding);
    for (const [nodeId, indexes] of byNode) {
      for (const index of indexes) shards.remove(index, nodeId);
    }
    for (const { index } of shards.list()) if (!known.has(index)) shards.forget(index);
    const touched = new Set([...links.map(({ nodeId }) => nodeId), ...byNode.keys()]);
    const living = [...touched].filter((nodeId) => roster.isLiving(nodeId));
    await Promise.all(
      living.map(async (nodeId) => {
        const link = roster.link(nodeId);
        // With nothing known from before, also what arrived without a word about it.
        const confirmed = known.size === 0 ? undefined : (byNode.get(nodeId) ?? []);
        const indexes = roster.isDurable(nodeId)
          ? await broughtTo(link, data, before.get(nodeId), confirmed, mapVersion)
          : confirmed;
        await dropShards(data, [{ link, shards: indexes }], mapVersion);
      }),
    );
  }
}

/**
 * Indexes of what has come to a node on disk since it had `before`, or of these what is `confirmed`; undefined for all that it has.
 */
async function broughtTo(
  link: NodeLink,
  data: Data,
  before: readonly ListedShard[] | undefined,
  confirmed: readonly number[] | undefined,
  mapVersion: number,
): Promise<readonly number[] | undefined> {
  // Too little is dropped rather than too much: what is not whole is found by nobody.
  if (before === undefined) return [];
  if (before.length === 0) return confirmed;
  // Behind what is being written there.
  await dropShards(data, [{ link, shards: [noIndex] }], mapVersion);
  const now = await listShards(link, data.id, data.version, listMsMax).catch(() => []);
  const had = new Map(before.map((shard) => [shard.index, shard]));
  const isAsBefore = (shard: ListedShard): boolean => {
    const same = had.get(shard.index);
    return same !== undefined && isSameShard(shard, same);
  };
  const come = now.filter((shard) => !isAsBefore(shard)).map(({ index }) => index);
  const ours = new Set(confirmed ?? come);
  return come.filter((index) => ours.has(index));
}

/** @throws PaipaiError PAIPAI_ERR_NODE_LOST when there are fewer nodes than replicas. */
export function checkNodeCount({ id, replicas }: Data, count: number): void {
  if (count >= replicas) return;
  throw new PaipaiError(
    'PAIPAI_ERR_NODE_LOST',
    `data ${id} want ${replicas} replicas on different nodes, and there are ${count} nodes`,
    { dataId: id },
  );
}
