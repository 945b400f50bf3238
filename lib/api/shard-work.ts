import { PaipaiError } from '../base/errors.js';
import { dropShards } from '../cluster/transfer/drop-shards.js';
import { wholeOf } from '../cluster/transfer/list-shards.js';
import type { Operation } from '../cluster/transfer/operation.js';
import type { Progress, TransferReport } from '../cluster/transfer/report.js';
import { mapReduce } from '../processing/map-reduce/map-reduce.js';
import type { MapReduceProgress, MapReduceResult } from '../processing/map-reduce/report.js';
import {
  type PassingTransfer,
  type ProcessingCall,
  processPassing,
  processStored,
  type StoredShards,
} from '../processing/process-data.js';
import type { ProcessResult } from '../processing/report.js';
import type { Data } from './data.js';
import type { Holding } from './holding.js';
import type { MapReduceSettings, ProcessSettings } from './options.js';
import type { HeldBefore } from './shard-keeper.js';
import type { ShardTransfers } from './shard-transfers.js';
import { linksOf, type StartedNet } from './started-net.js';

export interface ProcessCall extends Omit<ProcessSettings, 'operation'> {
  readonly handler: string;
  /** As `encodeValue` has it. */
  readonly args: Uint8Array | undefined;
  /** On this node alone; undefined: where the shards lie. */
  readonly nodeId: string | undefined;
  readonly onProgress: (progress: Progress) => void;
  /** Of the transfer of data that lie nowhere yet. */
  readonly onTransfer: (progress: Progress) => void;
}

export interface MapReduceWork extends Omit<MapReduceSettings, 'operation' | 'onProgress'> {
  readonly args: Uint8Array | undefined;
  readonly onProgress: (progress: MapReduceProgress) => void;
  readonly onTransfer: (progress: Progress) => void;
}

/** Has handlers work on the data of a net, where these lie. */
export class ShardWork {
  readonly #net: StartedNet;
  readonly #transfers: ShardTransfers;

  constructor(net: StartedNet, transfers: ShardTransfers) {
    this.#net = net;
    this.#transfers = transfers;
  }

  /** Fails as `Net.process` does. */
  async process(holding: Holding, call: ProcessCall, operation: Operation): Promise<ProcessResult> {
    const { data, shards } = holding;
    const { handler, args, keep, nodeId, onTransfer, ...settings } = call;
    const { env, nodes, roster } = this.#net;
    const processing: ProcessingCall = {
      ...settings,
      env,
      job: { operation, dataId: data.id, version: data.version, mapVersion: 0, handler, args },
      weightOf: (id) => nodes.get(id)?.weight ?? 1,
      cpuLoadOf: (id) => nodes.cpuLoadOf(id),
      workersOf: (id) => roster.workersOf(id),
      onCopyFailure: ({ index }, failedId) => shards.remove(index, failedId),
    };
    if (!keep) {
      return holding.exclusively(operation, () =>
        this.#processAndDrop(processing, holding, nodeId, onTransfer),
      );
    }
    return holding.sideBySide(operation, async () => {
      const transfer = await this.#bring(holding, nodeId, operation, onTransfer);
      const stored = this.#shardsOn(holding, nodeId);
      const result = await this.#processStored(processing, holding, stored);
      return transfer === undefined ? result : { ...result, transfer };
    });
  }

  /** Fails as `Net.mapReduce` does. */
  async mapReduce(
    holding: Holding,
    { onTransfer, ...call }: MapReduceWork,
    operation: Operation,
  ): Promise<MapReduceResult> {
    const { data, shards } = holding;
    return holding.sideBySide(operation, async () => {
      // As for reading.
      await this.#net.maps.look(holding, operation);
      const transfer = await this.#bring(holding, undefined, operation, onTransfer);
      const result = await mapReduce({
        ...call,
        env: this.#net.env,
        operation,
        dataId: data.id,
        version: data.version,
        shards: shards.list(),
        links: linksOf(this.#net),
        onCopyFailure: (index, nodeId) => shards.remove(index, nodeId),
      });
      return transfer === undefined ? result : { ...result, transfer };
    });
  }

  /** Transfers data that lie nowhere yet. */
  #bring(
    holding: Holding,
    nodeId: string | undefined,
    operation: Operation,
    onProgress: (progress: Progress) => void,
  ): Promise<TransferReport | undefined> {
    const { nodes, maps } = this.#net;
    if (nodeId !== undefined && !nodes.isTaker(nodeId) && holding.shards.count === 0) {
      throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', `node ${nodeId} leaves the net`, {
        nodeId,
      });
    }
    const confirm = nodeId === undefined ? holding.data.replicas : 1;
    return holding.bring(operation, async () => {
      await maps.ensure(holding, operation);
      // Somebody else has brought them.
      if (holding.shards.count > 0) return undefined;
      return this.#transfers.transfer(holding, { nodeId, confirm, onProgress }, operation);
    });
  }

  /** Under the map that is known by then. */
  #processStored(
    processing: ProcessingCall,
    holding: Holding,
    stored: StoredShards,
  ): Promise<ProcessResult> {
    const mapVersion = this.#net.maps.versionOf(holding);
    const job = { ...processing.job, mapVersion };
    return processStored({ ...processing, job }, stored);
  }

  async #processAndDrop(
    processing: ProcessingCall,
    holding: Holding,
    nodeId: string | undefined,
    onTransfer: (progress: Progress) => void,
  ): Promise<ProcessResult> {
    const { operation } = processing.job;
    const { keeper, maps } = this.#net;
    await maps.ensure(holding, operation);
    // What passes through stands in no map; nodes that have heard of one want to be told of it. By now it may say where the data lie.
    const wasMapped = maps.versionOf(holding) > 0;
    if (holding.shards.count === 0 && wasMapped) await maps.claim(holding, operation);
    let brought: TransferReport | undefined;
    if (holding.shards.count === 0) {
      const links = linksOf(this.#net, nodeId);
      const passing = this.#transfers.passing(holding, links, operation);
      const before = await keeper.heldBefore(holding.data, links, operation);
      if (wholeOf(before) === undefined) return this.#pass(processing, holding, passing, before);
      // What passed through in the place of data that are on disk would be gone if this fails.
      brought = await this.#bring(holding, nodeId, operation, onTransfer);
    }
    // Until all of it counts, other copies may be needed; a failure drops nothing.
    const stored = this.#shardsOn(holding, nodeId);
    const result = await this.#processStored(processing, holding, stored);
    await this.#drop(holding, nodeId, stored, operation);
    return brought === undefined ? result : { ...result, transfer: brought };
  }

  /** Through nodes, of which those on disk may have some of the data `before`, but not all. */
  async #pass(
    processing: ProcessingCall,
    holding: Holding,
    passing: PassingTransfer,
    before: HeldBefore,
  ): Promise<ProcessResult> {
    const { roster } = this.#net;
    const { mapVersion } = passing;
    const job = { ...processing.job, mapVersion };
    let isDone = false;
    try {
      const result = await processPassing({ ...processing, job }, passing);
      isDone = true;
      return result;
    } finally {
      // What a failure left there, or somebody else's before; where that is, a failure leaves it.
      const mayDrop = (nodeId: string): boolean =>
        isDone || !roster.isDurable(nodeId) || before.get(nodeId)?.length === 0;
      const ids = passing.links.map(({ nodeId }) => nodeId).filter((id) => roster.isLiving(id));
      await dropShards(
        holding.data,
        ids.filter(mayDrop).map((id) => ({ link: roster.link(id) })),
        mapVersion,
      );
    }
  }

  /** Drops the data from the nodes that are there, or from one what was `processed` there; then copies elsewhere stay. */
  async #drop(
    holding: Holding,
    nodeId: string | undefined,
    processed: StoredShards,
    operation: Operation,
  ): Promise<void> {
    const { roster, maps } = this.#net;
    const { data, shards } = holding;
    const isMapped = await maps.claim(holding, operation);
    const indexes = new Set(processed.shards.map(({ index }) => index));
    // Others may have brought more there meanwhile, and it may be all that there is of it.
    if (nodeId !== undefined) shards.retain(nodeId, ({ index }) => isMapped && !indexes.has(index));
    // What lies nowhere any more stays known as long as some of it lies somewhere, so that a part is not taken for the whole.
    if (nodeId === undefined || shards.holders().size === 0) shards.clear();
    if (isMapped && !(await maps.publishRemoval(holding, operation))) throw changedMeanwhile(data);
    const living = roster.living().filter((link) => link.nodeId === (nodeId ?? link.nodeId));
    const isPart = nodeId !== undefined && shards.holders().has(nodeId);
    await dropShards(
      data,
      living.map((link) => (isPart ? { link, shards: [...indexes] } : { link })),
      maps.ownVersionOf(holding),
    );
  }

  /** The shards, each with those who hold it; with `nodeId` those that lie there, for that node alone. */
  #shardsOn(holding: Holding, nodeId: string | undefined): StoredShards {
    const { data, shards } = holding;
    const links = linksOf(this.#net, nodeId);
    const all = shards.list();
    const wanted =
      nodeId === undefined ? all : all.filter(({ holders }) => holders.includes(nodeId));
    if (wanted.length === 0) throw notTransferred(data, nodeId);
    if (nodeId === undefined) this.#net.keeper.checkHeld(holding);
    return { links, shards: wanted };
  }
}

/** PAIPAI_ERR_STALE_MAP: nothing was dropped, since somebody else has changed the map. */
export function changedMeanwhile({ id: dataId }: Data): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_STALE_MAP',
    `somebody else has changed the shard map of data ${dataId} meanwhile`,
    { dataId },
  );
}

/** PAIPAI_ERR_UNKNOWN_DATA: no node, or not this one, has the data. */
export function notTransferred(data: Data, nodeId?: string): PaipaiError {
  const where = nodeId === undefined ? 'on no node' : `not on node ${nodeId}`;
  return new PaipaiError(
    'PAIPAI_ERR_UNKNOWN_DATA',
    `data ${data.id} are ${where}: transfer them first`,
    {
      dataId: data.id,
      ...(nodeId === undefined ? {} : { nodeId }),
    },
  );
}
