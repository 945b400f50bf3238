import { EventEmitter } from 'node:events';
import { invalidArgument } from '../base/check.js';
import { deferred } from '../base/deferred.js';
import type { Env } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import { createPlacement, planShards, shardKey } from '../cluster/placement/placement.js';
import { fetchShards } from '../cluster/transfer/fetch-shards.js';
import { dropMethod, encodeDropRequest } from '../cluster/transfer/messages.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import { Operation } from '../cluster/transfer/operation.js';
import type { Progress, TransferReport } from '../cluster/transfer/report.js';
import { type PlacedShard, ShardMap } from '../cluster/transfer/shard-map.js';
import { type Transfer, transferData } from '../cluster/transfer/transfer-data.js';
import type { ShardCut } from '../data/shard.js';
import { planCuts } from '../data/splitter.js';
import type { IoInUse } from '../native/io.js';
import { createRealEnv } from '../node/real-env.js';
import { type MemberInfo, Roster, type RosterEntry } from '../node/roster.js';
import { type Engine, selectEngine } from '../node/select-network.js';
import { argsBytesMax } from '../processing/messages.js';
import { type ProcessingCall, processPassing, processStored } from '../processing/process-data.js';
import type { ProcessResult } from '../processing/report.js';
import type { EngineName } from '../transport/frame-channel.js';
import { encodeValue } from '../wire/values.js';
import { Data } from './data.js';
import { joinNet, Node, type NodeHost } from './node.js';
import {
  checkHandlerName,
  checkKeep,
  checkNetOptions,
  checkOperationOptions,
  type NetOptions,
  type NetSettings,
  type OperationOptions,
  type OperationSettings,
  type ProcessOptions,
  processNames,
  type TransferOptions,
} from './options.js';

/** Where the shards of data would go. */
export interface Plan {
  readonly dataId: string;
  readonly bytes: number;
  readonly shards: readonly PlannedShard[];
  readonly perNode: readonly NodePlan[];
}

export interface PlannedShard {
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
  readonly nodeId: string;
}

export interface NodePlan {
  readonly nodeId: string;
  readonly shards: number;
  readonly bytes: number;
  /** Its part of the bytes, 0 to 1. */
  readonly weight: number;
}

export interface NetInfo {
  readonly engine: EngineName;
  /** Why this engine. */
  readonly reason: string;
  /** What serves the sockets of this thread, and why; null with the portable engine. */
  readonly io: IoInUse | null;
  /** Version of Node.js. */
  readonly node: string;
  readonly nodes: readonly MemberInfo[];
}

export interface NetEvents {
  progress: [progress: Progress & { readonly phase: 'transfer' | 'process' }];
  /** A node went away. Work on it fails with PAIPAI_ERR_NODE_LOST; new transfers go to the others. */
  nodeLost: [node: Node, error: PaipaiError];
}

/** Data in the net, and where their shards lie. */
interface Holding {
  readonly data: Data;
  readonly shards: ShardMap;
  /** Work that takes shards away, or adds copies, has them for itself; this settles with the last of it. */
  exclusive: Promise<unknown>;
  /** Settles with all work there is, also with that which goes side by side. */
  busy: Promise<unknown>;
  /** Of work side by side one at a time brings shards that lie nowhere yet; settles with the last. */
  bringing: Promise<unknown>;
}

type State =
  | { readonly kind: 'new' | 'starting' }
  | { readonly kind: 'started'; readonly roster: Roster; readonly engine: Engine };

/** A node that does not answer cannot be tidied up; this is how long it is waited for. */
const dropMsMax = 1_000;

/**
 * A net of nodes, seen from its client: data are cut into shards, transferred to the nodes, processed where they lie, and the
 * results gathered. Whatever is called before `start` fails with PAIPAI_ERR_NOT_STARTED, after `close` with PAIPAI_ERR_CLOSED.
 */
export class Net extends EventEmitter<NetEvents> {
  readonly #settings: NetSettings;
  readonly #env: Env = createRealEnv();
  readonly #clientId: string;
  readonly #nodes = new Map<string, Node>();
  readonly #holdings = new Map<string, Holding>();
  readonly #operations = new Set<Operation>();
  readonly #host: NodeHost;
  #state: State = { kind: 'new' };
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
  constructor(options: NetOptions = {}) {
    super();
    this.#settings = checkNetOptions(options);
    this.#clientId = `client-${Buffer.from(this.#env.random.bytes(8)).toString('hex')}`;
    this.#host = {
      pidOf: (node) =>
        this.#state.kind === 'started' ? this.#state.roster.pidOf(node.id) : undefined,
      processOn: (node, data, handler, options) => this.#process(data, handler, options, node),
    };
  }

  /** @throws PaipaiError PAIPAI_ERR_DUPLICATE_ID; PAIPAI_ERR_INVALID_STATE once the net has started, or for a node of another net. */
  addNode(node: Node): this {
    if (!(node instanceof Node)) throw invalidArgument('node', 'a Node', node);
    this.#checkNotClosed();
    if (this.#state.kind !== 'new') {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_STATE',
        'nodes are added before the net is started',
      );
    }
    if (this.#nodes.has(node.id)) {
      throw new PaipaiError('PAIPAI_ERR_DUPLICATE_ID', `the net has a node ${node.id} already`, {
        nodeId: node.id,
      });
    }
    joinNet(node, this.#host);
    this.#nodes.set(node.id, node);
    return this;
  }

  /** @throws PaipaiError PAIPAI_ERR_DUPLICATE_ID. */
  addData(data: Data): this {
    if (!(data instanceof Data)) throw invalidArgument('data', 'Data', data);
    this.#checkNotClosed();
    if (this.#holdings.has(data.id)) {
      throw new PaipaiError('PAIPAI_ERR_DUPLICATE_ID', `the net has data ${data.id} already`, {
        dataId: data.id,
      });
    }
    const idle = Promise.resolve();
    this.#holdings.set(data.id, {
      data,
      shards: new ShardMap(),
      exclusive: idle,
      busy: idle,
      bringing: idle,
    });
    return this;
  }

  /**
   * Runs the embedded nodes and connects to all. When one cannot be had, the others are ended, and the net can be started again.
   * Fails: PAIPAI_ERR_NODE_START, _HANDLER_MODULE, _ENGINE_UNAVAILABLE, _INVALID_STATE, and for a remote node the code that says
   * what is wrong with it: _NET_NAME, _SECRET, _FRAME_MAGIC, _VERSION_MISMATCH, _HANDSHAKE_TIMEOUT.
   */
  async start(): Promise<void> {
    this.#checkNotClosed();
    if (this.#state.kind !== 'new') {
      throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'the net is started already');
    }
    if (this.#nodes.size === 0) {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_STATE',
        'the net has no node: add one before the start',
      );
    }
    this.#state = { kind: 'starting' };
    this.#starting = this.#start();
    await this.#starting;
  }

  async #start(): Promise<void> {
    const { engine: engineChoice, name, secret, handlers, runAs } = this.#settings;
    const entries = [...this.#nodes.values()].map(
      (node): RosterEntry =>
        node.address === undefined
          ? { nodeId: node.id, runAs: node.runAs ?? runAs, store: node.store }
          : { nodeId: node.id, address: node.address },
    );
    try {
      const engine = selectEngine(engineChoice);
      const roster = await Roster.start(entries, {
        env: this.#env,
        engine,
        engineChoice,
        clientId: this.#clientId,
        netName: name,
        secret,
        handlers,
        onLost: (nodeId, error) => {
          const node = this.#nodes.get(nodeId);
          if (node !== undefined) this.emit('nodeLost', node, error);
        },
      });
      this.#state = { kind: 'started', roster, engine };
    } catch (thrown) {
      this.#state = { kind: 'new' };
      throw thrown;
    }
  }

  /**
   * Where each shard would go, before anything moves. Data cut at records are read for it.
   * @throws PaipaiError PAIPAI_ERR_INVALID_STATE for a stream, which can be read only once; what its source fails with.
   */
  async plan(data: Data): Promise<Plan> {
    this.#checkNotClosed();
    const { source, shardBytes, records, id } = this.#holdingOf(data).data;
    const nodes = this.#livingNodes();
    const cuts = await planCuts(this.#env, source, { shardBytes, records });
    const placement = createPlacement(this.#settings.placement, nodes, source.sizeBytes);
    const shards = planShards(id, cuts, placement);
    const bytes = shards.reduce((sum, shard) => sum + shard.bytes, 0);
    const perNode = nodes.map((node) => {
      const own = shards.filter(({ nodeId }) => nodeId === node.id);
      const ownBytes = own.reduce((sum, shard) => sum + shard.bytes, 0);
      return { nodeId: node.id, shards: own.length, bytes: ownBytes, weight: ownBytes / bytes };
    });
    return { dataId: id, bytes, shards, perNode };
  }

  /**
   * Brings every shard to `node`, or each to the node that placement says. Settles when the receivers have checked and stored every
   * byte. Fails: PAIPAI_ERR_UNKNOWN_DATA, _UNKNOWN_NODE, _NODE_LOST, _STORE_FULL, _DEADLINE, _ABORTED, _SHARD_CHECKSUM, and what
   * the source fails with (_SOURCE_…, _RECORD_TOO_LONG, _DATA_EMPTY); what had been stored by then is dropped.
   */
  async transfer(data: Data, node?: Node, options: TransferOptions = {}): Promise<TransferReport> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    this.#checkStarted();
    const holding = this.#holdingOf(data);
    if (node !== undefined) this.#checkNode(node);
    return this.#operate(`transfer of data ${data.id}`, settings, (operation) =>
      this.#exclusively(holding, operation, () =>
        this.#transfer(holding, node, operation, settings.onProgress),
      ),
    );
  }

  /**
   * Runs a handler over every shard, on the nodes where they lie; data that lie nowhere yet are transferred first.
   * Fails as `transfer` does, and with PAIPAI_ERR_HANDLER_UNKNOWN, _HANDLER_FAILED, _HANDLER_RESULT, _VALUE (for `args`).
   */
  async process(
    data: Data,
    handler: string = 'digest',
    options: ProcessOptions = {},
  ): Promise<ProcessResult> {
    return this.#process(data, handler, options, undefined);
  }

  /**
   * Gathers the shards back from the nodes, each checked again.
   * @throws PaipaiError PAIPAI_ERR_UNKNOWN_DATA when they are not on the nodes, _NODE_LOST, _SHARD_CHECKSUM.
   */
  async read(data: Data, options: OperationOptions = {}): Promise<Uint8Array> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { roster } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    return this.#operate(`reading of data ${data.id}`, settings, (operation) =>
      this.#sideBySide(holding, operation, async () => {
        await operation.race(holding.bringing);
        if (holding.shards.count === 0) throw notTransferred(data);
        return fetchShards({
          operation,
          dataId: data.id,
          version: data.version,
          shards: holding.shards.list(),
          linkFor: (shard) => holderOf(shard, roster),
        });
      }),
    );
  }

  /** Which engine is in use and why, and the nodes. */
  info(): NetInfo {
    const { roster, engine } = this.#checkStarted();
    return {
      engine: engine.name,
      reason: engine.reason,
      io: engine.io,
      node: process.version,
      nodes: roster.info(),
    };
  }

  /**
   * Ends what is under way with PAIPAI_ERR_CLOSED, drops the data from remote nodes, and ends the embedded ones. Settles when no
   * process, thread, socket or file of the net is left. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#starting?.catch(() => {}); // Whoever started it hears why it failed.
    const state = this.#state;
    if (state.kind !== 'started') return;
    const closed = new PaipaiError('PAIPAI_ERR_CLOSED', 'the net was closed');
    for (const operation of this.#operations) operation.fail(closed);
    const holdings = [...this.#holdings.values()];
    await Promise.allSettled(holdings.map(({ busy }) => busy));
    await Promise.all(holdings.map((holding) => this.#dropFromRemotes(holding, state.roster)));
    await state.roster.close();
  }

  async #dropFromRemotes({ data, shards }: Holding, roster: Roster): Promise<void> {
    const holders = [...shards.holders()].filter(
      (id) =>
        this.#nodes.get(id)?.address !== undefined && roster.isLiving(id) && !roster.isDurable(id),
    );
    const { id: dataId, version } = data;
    await drop(holders.map((id) => [roster.link(id), encodeDropRequest({ dataId, version })]));
  }

  async #process(
    data: Data,
    handler: string,
    options: ProcessOptions,
    node: Node | undefined,
  ): Promise<ProcessResult> {
    checkHandlerName(handler);
    const settings = checkOperationOptions(options, this.#settings.deadlineMs, processNames);
    const keep = checkKeep(options.keep);
    const args = encodeArgs(options.args);
    this.#checkStarted();
    const holding = this.#holdingOf(data);
    if (node !== undefined) this.#checkNode(node);
    return this.#operate(`handler '${handler}' on data ${data.id}`, settings, async (operation) => {
      const call: ProcessingCall = {
        env: this.#env,
        job: { operation, dataId: data.id, version: data.version, handler, args },
        onProgress: (progress) => this.#tellProgress('process', progress, settings.onProgress),
      };
      if (!keep) {
        return this.#exclusively(holding, operation, () =>
          this.#processAndDrop(call, holding, node),
        );
      }
      return this.#sideBySide(holding, operation, async () => {
        const transfer = await this.#bring(holding, node, operation);
        const result = await processStored(call, this.#shardsPerNode(holding, node), false);
        return transfer === undefined ? result : { ...result, transfer };
      });
    });
  }

  async #processAndDrop(
    call: ProcessingCall,
    holding: Holding,
    node: Node | undefined,
  ): Promise<ProcessResult> {
    const { shards, data } = holding;
    const links = this.#targetLinks(node);
    const { roster } = this.#started();
    try {
      if (shards.count > 0) {
        return await processStored(call, this.#shardsPerNode(holding, node), true);
      }
      const transfer = await this.#transferOf(holding, links, call.job.operation);
      return await processPassing(call, transfer);
    } finally {
      // What a failure left there, and copies on other nodes. Of one node's own shards, copies elsewhere stay.
      const request = encodeDropRequest({ dataId: data.id, version: data.version });
      const living = roster.living().filter(({ nodeId }) => (node?.id ?? nodeId) === nodeId);
      await drop(living.map((link) => [link, request]));
      if (node === undefined) shards.clear();
      else for (const { index } of shards.list()) shards.remove(index, node.id);
    }
  }

  async #transfer(
    holding: Holding,
    node: Node | undefined,
    operation: Operation,
    onProgress: ((progress: Progress) => void) | undefined,
  ): Promise<TransferReport> {
    const { data, shards } = holding;
    const links = this.#targetLinks(node);
    const added = new Map(links.map((link) => [link.nodeId, [] as number[]]));
    try {
      return await transferData({
        ...(await this.#transferOf(holding, links, operation)),
        onProgress: (progress) => this.#tellProgress('transfer', progress, onProgress),
        onStored(cut, nodeId, crc32c) {
          if (shards.add(cut, crc32c, nodeId)) added.get(nodeId)?.push(cut.index);
          return undefined;
        },
      });
    } catch (thrown) {
      for (const [nodeId, indexes] of added) {
        for (const index of indexes) shards.remove(index, nodeId);
      }
      const { id: dataId, version } = data;
      const living = links.filter(({ peer }) => peer.state === 'open');
      await drop(
        living.map((link) => {
          // With nothing there from before, also what arrived without a word about it.
          const indexes = shards.count === 0 ? undefined : (added.get(link.nodeId) ?? []);
          const named = indexes === undefined ? {} : { shards: indexes };
          return [link, encodeDropRequest({ dataId, version, ...named })];
        }),
      );
      throw thrown;
    }
  }

  async #transferOf(
    { data }: Holding,
    links: readonly NodeLink[],
    operation: Operation,
  ): Promise<Omit<Transfer, 'onStored' | 'onProgress'>> {
    const nodes = links.map(({ nodeId }) => ({ id: nodeId, weight: this.#weightOf(nodeId) }));
    // Measured here as for a plan, so that the shards go where the plan has said.
    const sizeBytes = await data.source.measure(this.#env);
    const placement = createPlacement(this.#settings.placement, nodes, sizeBytes);
    return {
      env: this.#env,
      operation,
      cargo: data,
      sourceId: this.#clientId,
      tools: this.#started().engine,
      links,
      place: ({ index, bytes }: ShardCut) => placement.place(shardKey(data.id, index), bytes),
    };
  }

  /** Each shard once, at the first of its holders that is alive; with `node`, those that lie there. */
  #shardsPerNode(
    { data, shards }: Holding,
    node: Node | undefined,
  ): { link: NodeLink; cuts: ShardCut[] }[] {
    const { roster } = this.#started();
    const perNode = new Map<string, { link: NodeLink; cuts: ShardCut[] }>();
    for (const shard of shards.list()) {
      if (node !== undefined && !shard.holders.includes(node.id)) continue;
      const link = node === undefined ? holderOf(shard, roster) : roster.link(node.id);
      const own = perNode.get(link.nodeId) ?? { link, cuts: [] };
      own.cuts.push(shard);
      perNode.set(link.nodeId, own);
    }
    if (perNode.size === 0) throw notTransferred(data, node);
    return [...perNode.values()];
  }

  /** Runs `work` as one operation: with its deadline, its signal, and ended by `close`. */
  async #operate<T>(
    what: string,
    settings: OperationSettings,
    work: (operation: Operation) => Promise<T>,
  ): Promise<T> {
    const operation = new Operation(this.#env, what, settings);
    this.#operations.add(operation);
    try {
      operation.throwIfFailed();
      return await work(operation);
    } finally {
      this.#operations.delete(operation);
      operation.close();
    }
  }

  /** Waits for exclusive work on the data that came before, then works beside others; exclusive work that comes later waits. */
  async #sideBySide<T>(holding: Holding, operation: Operation, work: () => Promise<T>): Promise<T> {
    const before = holding.exclusive;
    const done = deferred<void>();
    holding.busy = Promise.all([holding.busy, done.promise]);
    try {
      await operation.race(before);
      return await work();
    } finally {
      done.resolve();
    }
  }

  /** Transfers data that lie nowhere yet, unless another one side by side has done it by then. */
  async #bring(
    holding: Holding,
    node: Node | undefined,
    operation: Operation,
  ): Promise<TransferReport | undefined> {
    const before = holding.bringing;
    const done = deferred<void>();
    holding.bringing = before.then(() => done.promise);
    try {
      await operation.race(before);
      if (holding.shards.count > 0) return undefined;
      return await this.#transfer(holding, node, operation, undefined);
    } finally {
      done.resolve();
    }
  }

  /** Waits for all work on the data that came before, then works alone on them. */
  async #exclusively<T>(
    holding: Holding,
    operation: Operation,
    work: () => Promise<T>,
  ): Promise<T> {
    const before = holding.busy;
    const done = deferred<void>();
    holding.exclusive = before.then(() => done.promise);
    holding.busy = holding.exclusive;
    try {
      await operation.race(before);
      return await work();
    } finally {
      done.resolve();
    }
  }

  #tellProgress(
    phase: 'transfer' | 'process',
    progress: Progress,
    onProgress: ((progress: Progress) => void) | undefined,
  ): void {
    onProgress?.(progress);
    if (this.listenerCount('progress') > 0) this.emit('progress', { phase, ...progress });
  }

  #weightOf(nodeId: string): number {
    return this.#nodes.get(nodeId)?.weight ?? 1;
  }

  #livingNodes(): Node[] {
    const { roster } = this.#state.kind === 'started' ? this.#state : { roster: undefined };
    const nodes = [...this.#nodes.values()].filter(({ id }) => roster?.isLiving(id) ?? true);
    if (nodes.length > 0) return nodes;
    throw this.#nodes.size === 0
      ? new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'the net has no node')
      : new PaipaiError('PAIPAI_ERR_NODE_LOST', 'every node of the net is gone');
  }

  #livingLinks(): NodeLink[] {
    const { roster } = this.#started();
    return this.#livingNodes().map(({ id }) => roster.link(id));
  }

  #targetLinks(node: Node | undefined): NodeLink[] {
    return node === undefined ? this.#livingLinks() : [this.#started().roster.link(node.id)];
  }

  #checkNotClosed(): void {
    if (this.#closing !== undefined)
      throw new PaipaiError('PAIPAI_ERR_CLOSED', 'the net is closed');
  }

  #checkStarted(): { roster: Roster; engine: Engine } {
    this.#checkNotClosed();
    return this.#started();
  }

  /** For work that began before a close and winds up after it. */
  #started(): { roster: Roster; engine: Engine } {
    if (this.#state.kind === 'started') return this.#state;
    throw new PaipaiError(
      'PAIPAI_ERR_NOT_STARTED',
      'the net is not started: await net.start() first',
    );
  }

  #checkNode(node: Node): void {
    if (!(node instanceof Node)) throw invalidArgument('node', 'a Node', node);
    if (this.#nodes.get(node.id) === node) return;
    throw new PaipaiError('PAIPAI_ERR_UNKNOWN_NODE', `the net has no such node ${node.id}`, {
      nodeId: node.id,
    });
  }

  #holdingOf(data: Data): Holding {
    if (!(data instanceof Data)) throw invalidArgument('data', 'Data', data);
    const holding = this.#holdings.get(data.id);
    if (holding?.data === data) return holding;
    throw new PaipaiError('PAIPAI_ERR_UNKNOWN_DATA', `the net has no such data ${data.id}`, {
      dataId: data.id,
    });
  }
}

function holderOf(shard: PlacedShard, roster: Roster): NodeLink {
  const nodeId = shard.holders.find((id) => roster.isLiving(id)) ?? shard.holders[0] ?? '';
  return roster.link(nodeId);
}

function notTransferred(data: Data, node?: Node): PaipaiError {
  const where = node === undefined ? 'on no node' : `not on node ${node.id}`;
  return new PaipaiError(
    'PAIPAI_ERR_UNKNOWN_DATA',
    `data ${data.id} are ${where}: transfer them first`,
    {
      dataId: data.id,
      ...(node === undefined ? {} : { nodeId: node.id }),
    },
  );
}

function encodeArgs(args: unknown): Uint8Array | undefined {
  if (args === undefined) return undefined;
  const bytes = encodeValue(args);
  if (bytes.byteLength <= argsBytesMax) return bytes;
  throw invalidArgument('args', `at most ${argsBytesMax} bytes when encoded`, bytes.byteLength);
}

/** Asks nodes to drop shards. One that is gone, or does not answer in time, has nothing that could be waited for. */
async function drop(requests: readonly (readonly [NodeLink, Uint8Array])[]): Promise<void> {
  await Promise.allSettled(
    requests.map(([{ peer }, request]) =>
      peer.request(dropMethod, request, { deadlineMs: dropMsMax }),
    ),
  );
}
