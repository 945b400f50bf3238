import { EventEmitter } from 'node:events';
import { invalidArgument } from '../base/check.js';
import type { Env } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import { createPlacement, planShards, shardKey } from '../cluster/placement/placement.js';
import { dropMethod, encodeDropRequest } from '../cluster/transfer/messages.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import { Operation } from '../cluster/transfer/operation.js';
import type { Progress, RepairReport, TransferReport } from '../cluster/transfer/report.js';
import type { PlacedShard } from '../cluster/transfer/shard-map.js';
import { transferData } from '../cluster/transfer/transfer-data.js';
import type { ShardCut } from '../data/shard.js';
import { planCuts } from '../data/splitter.js';
import { findMembers } from '../node/find-members.js';
import { createRealEnv } from '../node/real-env.js';
import { Roster, type RosterEntry } from '../node/roster.js';
import { type Engine, selectEngine } from '../node/select-network.js';
import { mapReduce } from '../processing/map-reduce/map-reduce.js';
import type { MapReduceResult } from '../processing/map-reduce/report.js';
import { argsBytesMax } from '../processing/messages.js';
import {
  type PassingTransfer,
  type ProcessingCall,
  processPassing,
  processStored,
  type StoredShards,
} from '../processing/process-data.js';
import type { ProcessResult } from '../processing/report.js';
import { encodeValue } from '../wire/values.js';
import { Data } from './data.js';
import { Holding } from './holding.js';
import { joinNet, Node, type NodeHost } from './node.js';
import { NodeReturns } from './node-returns.js';
import {
  checkConfirm,
  checkHandlerName,
  checkKeep,
  checkMapReduceOptions,
  checkNetOptions,
  checkOperationOptions,
  type MapReduceOptions,
  type NetOptions,
  type NetSettings,
  type OperationOptions,
  type OperationSettings,
  type ProcessOptions,
  processNames,
  type TransferOptions,
  transferNames,
} from './options.js';
import { ShardKeeper } from './shard-keeper.js';
import { Redial } from './transport/redial.js';
import type { Explanation, FoundData, NetEvents, NetInfo, Plan } from './types.js';

type State = { readonly kind: 'new' | 'starting' } | ({ readonly kind: 'started' } & Running);

interface Running {
  readonly roster: Roster;
  readonly engine: Engine;
  readonly keeper: ShardKeeper;
}

/** A node that does not answer cannot be tidied up; this is how long it is waited for. */
const dropMsMax = 1_000;
/** Of remote nodes that went away: the first attempt comes soon, since most of them were only restarted. */
const backoff = { backoffMs: 50, backoffMsMax: 2_000, jitter: 0.5, attemptsMax: Infinity };

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
  /** Of remote nodes, by id. */
  readonly #redials = new Map<string, Redial>();
  readonly #returns: NodeReturns;
  readonly #host: NodeHost;
  #state: State = { kind: 'new' };
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
  constructor(options: NetOptions = {}) {
    super();
    this.#settings = checkNetOptions(options);
    this.#clientId = `client-${Buffer.from(this.#env.random.bytes(8)).toString('hex')}`;
    this.#returns = new NodeReturns({
      env: this.#env,
      patienceMs: this.#settings.reconnectMs,
      isRemote: (nodeId) => this.#nodes.get(nodeId)?.address !== undefined,
      linkOf: (nodeId) => {
        const { roster } = this.#started();
        return roster.isLiving(nodeId) ? roster.link(nodeId) : undefined;
      },
    });
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
    this.#holdings.set(data.id, new Holding(data));
    return this;
  }

  /**
   * Runs the embedded nodes and connects to all. When one cannot be had, the others are ended, and the net can be started again.
   * Fails: PAIPAI_ERR_NODE_START, _HANDLER_MODULE, _ENGINE_UNAVAILABLE, _INVALID_STATE, and for a remote node the code that says
   * what is wrong with it: _NET_NAME, _SECRET, _FRAME_MAGIC, _VERSION_MISMATCH, _HANDSHAKE_TIMEOUT. With `join` also _METHOD_UNKNOWN for
   * something that is no node, and _INVALID_STATE for a node that is no member.
   */
  async start(): Promise<void> {
    this.#checkNotClosed();
    if (this.#state.kind !== 'new') {
      throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'the net is started already');
    }
    if (this.#nodes.size === 0 && this.#settings.join === undefined) {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_STATE',
        'the net has no node: add one before the start, or join nodes that run already',
      );
    }
    this.#state = { kind: 'starting' };
    this.#starting = this.#findAndStart();
    await this.#starting;
  }

  /** When the start fails, the next one looks again for who is there. */
  async #findAndStart(): Promise<void> {
    const { join } = this.#settings;
    const found: Node[] = [];
    try {
      if (join !== undefined) found.push(...(await this.#findNodes(join)));
      for (const node of found) this.#nodes.set(node.id, node);
      await this.#start();
    } catch (thrown) {
      for (const { id } of found) this.#nodes.delete(id);
      this.#state = { kind: 'new' };
      throw thrown;
    }
  }

  /** Who is alive in the net of `seeds`; one that is suspect may not answer, and would hold up the start for all. */
  async #findNodes(seeds: readonly string[]): Promise<Node[]> {
    const { engine, name: netName, secret } = this.#settings;
    const env = { ...this.#env, network: selectEngine(engine).network };
    const members = await findMembers(env, seeds, {
      nodeId: this.#clientId,
      netName,
      ...(secret === undefined ? {} : { secret }),
    });
    const own = [...this.#nodes.values()];
    const others = members
      .filter(({ state, address }) => state === 'alive' && address !== '')
      .filter((member) =>
        own.every(({ id, address }) => id !== member.nodeId && address !== member.address),
      );
    // A node that was started anew under another id stands there twice until its old one is found dead.
    const byAddress = new Map(others.map((member) => [member.address, member]));
    const found = [...byAddress.values()].map(
      ({ nodeId, address, weight }) => new Node(nodeId, { address, weight }),
    );
    if (own.length + found.length === 0) {
      throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'no node of the net is alive');
    }
    for (const node of found) joinNet(node, this.#host);
    return found;
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
        onLost: (nodeId, error) => this.#lost(nodeId, error),
      });
      const keeper = new ShardKeeper({
        env: this.#env,
        roster,
        tools: engine,
        sourceId: this.#clientId,
        strategy: this.#settings.placement,
        weightOf: (nodeId) => this.#weightOf(nodeId),
      });
      this.#state = { kind: 'started', roster, engine, keeper };
    } catch (thrown) {
      this.#state = { kind: 'new' };
      throw thrown;
    }
  }

  #lost(nodeId: string, error: PaipaiError): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    if (node.address !== undefined && this.#closing === undefined) {
      let redial = this.#redials.get(nodeId);
      if (redial === undefined) {
        redial = new Redial(
          this.#env,
          backoff,
          (signal) => this.#reach(node, signal),
          () => {}, // Another secret, name or version: it is no node of this net any more.
        );
        this.#redials.set(nodeId, redial);
      }
      redial.start(error);
    }
    this.emit('nodeLost', node, error);
  }

  /** Takes a remote node in again, once it is known what it holds. */
  async #reach(node: Node, signal: AbortSignal): Promise<void> {
    const { roster, keeper } = this.#started();
    const { link, admit } = await roster.reach(node.id, signal);
    try {
      for (const holding of this.#holdings.values()) await keeper.look(holding, link);
    } catch (thrown) {
      link.peer.destroy();
      throw thrown;
    }
    this.#redials.get(node.id)?.connected();
    if (!admit()) throw new PaipaiError('PAIPAI_ERR_NODE_LOST', `node ${node.id} went away again`);
    this.#returns.back(node.id);
    // Outside of the attempt to connect, which has not failed when a listener throws.
    queueMicrotask(() => this.emit('nodeBack', node));
  }

  /**
   * Where each shard would go, before anything moves. Data cut at records are read for it.
   * @throws PaipaiError PAIPAI_ERR_INVALID_STATE for a stream, which can be read only once; what its source fails with.
   */
  async plan(data: Data): Promise<Plan> {
    this.#checkNotClosed();
    const { source, shardBytes, records, id, replicas } = this.#holdingOf(data).data;
    const nodes = this.#livingNodes();
    const cuts = await planCuts(this.#env, source, { shardBytes, records });
    checkNodeCount(data, nodes.length);
    const bytes = cuts.reduce((sum, cut) => sum + cut.bytes, 0);
    const placement = createPlacement(this.#settings.placement, nodes, bytes * replicas);
    const shards = planShards(id, cuts, placement, replicas);
    const perNode = nodes.map(({ id: nodeId }) => {
      const own = shards.filter(({ nodeIds }) => nodeIds.includes(nodeId));
      const ownBytes = own.reduce((sum, shard) => sum + shard.bytes, 0);
      return { nodeId, shards: own.length, bytes: ownBytes, weight: ownBytes / (bytes * replicas) };
    });
    return { dataId: id, bytes, shards, perNode };
  }

  /**
   * Brings every shard to `node`, or each to as many nodes as the data have replicas, which placement chooses. Settles when the receivers
   * have checked and stored every byte. Of data with several replicas, a node that goes away in the middle is replaced by another.
   * Fails: PAIPAI_ERR_UNKNOWN_DATA, _UNKNOWN_NODE, _NODE_LOST, _STORE_FULL, _DEADLINE, _ABORTED, _SHARD_CHECKSUM, and what
   * the source fails with (_SOURCE_…, _RECORD_TOO_LONG, _DATA_EMPTY); what had been stored by then is dropped.
   */
  async transfer(data: Data, node?: Node, options: TransferOptions = {}): Promise<TransferReport> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs, transferNames);
    this.#checkStarted();
    const holding = this.#holdingOf(data);
    if (node !== undefined) this.#checkNode(node);
    const confirm = checkConfirm(options.confirm, node === undefined ? data.replicas : 1);
    return this.#operate(`transfer of data ${data.id}`, settings, (operation) =>
      holding.exclusively(operation, () =>
        this.#transfer(holding, node, confirm, operation, settings.onProgress),
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
   * Maps every shard on a node where it lies, and reduces the values of each key on one node; data that lie nowhere yet are transferred
   * first. When a node goes away, its tasks are done again by others that hold the shards.
   * Fails as `process` does, with PAIPAI_ERR_NODE_LOST for shards that lie on no node any more, with PAIPAI_ERR_HANDLER_RESULT beyond the
   * bounds of `MapReduceResult`, and with PAIPAI_ERR_STORE_FULL or _STORE_FAILED for temporary files.
   */
  async mapReduce(data: Data, options: MapReduceOptions): Promise<MapReduceResult> {
    const settings = checkMapReduceOptions(options, this.#settings.deadlineMs);
    const args = encodeArgs(options.args);
    this.#checkStarted();
    const holding = this.#holdingOf(data);
    return this.#operate(`MapReduce of data ${data.id}`, settings.operation, (operation) =>
      holding.sideBySide(operation, async () => {
        const transfer = await holding.bring(operation, () =>
          this.#transfer(holding, undefined, data.replicas, operation, undefined),
        );
        const result = await mapReduce({
          ...settings,
          env: this.#env,
          operation,
          dataId: data.id,
          version: data.version,
          shards: holding.shards.list(),
          links: this.#livingLinks(),
          args,
          onCopyFailure: (index, nodeId) => holding.shards.remove(index, nodeId),
          onProgress: (progress) => {
            settings.onProgress?.(progress);
            if (this.listenerCount('progress') > 0) this.emit('progress', progress);
          },
        });
        return transfer === undefined ? result : { ...result, transfer };
      }),
    );
  }

  /**
   * Gathers the shards back, each checked again, and from another of its nodes where one is gone or has it no more as it was; that one
   * gets it anew. Data that this net has not transferred are looked for on the nodes first, as by `find`.
   * @throws PaipaiError PAIPAI_ERR_UNKNOWN_DATA when they are not on the nodes; _NODE_LOST, with `shardIndexes`, when all nodes with some shards
   * are gone; _SHARD_CHECKSUM when no node has a shard as it was.
   */
  async read(data: Data, options: OperationOptions = {}): Promise<Uint8Array> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { keeper } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    return this.#operate(`reading of data ${data.id}`, settings, (operation) =>
      holding.sideBySide(operation, async () => {
        await keeper.find(holding, operation);
        if (holding.shards.count === 0) throw notTransferred(data);
        return keeper.read(holding, operation);
      }),
    );
  }

  /**
   * Looks for data that nodes hold on disk from an earlier time, and takes them as transferred. Undefined when no nodes hold all of this
   * version between them, or they do not agree on it. Data that have been transferred by this net are not looked for.
   */
  async find(data: Data, options: OperationOptions = {}): Promise<FoundData | undefined> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { keeper } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    return this.#operate(`search for data ${data.id}`, settings, (operation) =>
      holding.exclusively(operation, async () => {
        await keeper.find(holding, operation);
        const { count, totalBytes } = holding.shards.extent();
        const nodeIds = [...holding.shards.holders()];
        return count === 0
          ? undefined
          : { dataId: data.id, bytes: totalBytes, shards: count, nodeIds };
      }),
    );
  }

  /**
   * Copies shards that lie on too few of the nodes that are there to others, until each lies on as many as the data have replicas, or on all.
   * Fails: PAIPAI_ERR_UNKNOWN_DATA for data that lie nowhere, _SHARD_CHECKSUM, _STORE_FULL, _DEADLINE, _ABORTED; _NODE_LOST, with `shardIndexes`,
   * when all nodes with some shards are gone: what can be copied has been by then.
   */
  async repair(data: Data, options: OperationOptions = {}): Promise<RepairReport> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { keeper } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    return this.#operate(`repair of data ${data.id}`, settings, (operation) =>
      holding.exclusively(operation, async () => {
        await keeper.find(holding, operation);
        if (holding.shards.count === 0) throw notTransferred(data);
        const report = await keeper.repair(holding, operation);
        keeper.checkHeld(holding);
        return report;
      }),
    );
  }

  /** Where each shard lies, where placement puts it now, and what is missing. @throws PaipaiError PAIPAI_ERR_UNKNOWN_DATA. */
  explain(data: Data): Explanation {
    const { keeper } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    if (holding.shards.count === 0) throw notTransferred(data);
    return keeper.explain(holding);
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
    for (const redial of this.#redials.values()) redial.stop();
    const closed = new PaipaiError('PAIPAI_ERR_CLOSED', 'the net was closed');
    for (const operation of this.#operations) operation.fail(closed);
    const holdings = [...this.#holdings.values()];
    await Promise.allSettled(holdings.map(({ idle }) => idle));
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
        job: {
          operation,
          dataId: data.id,
          version: data.version,
          handler,
          args,
          onCopyFailure: ({ index }, nodeId) => holding.shards.remove(index, nodeId),
        },
        onProgress: (progress) => this.#tellProgress('process', progress, settings.onProgress),
      };
      if (!keep) {
        return holding.exclusively(operation, () => this.#processAndDrop(call, holding, node));
      }
      return holding.sideBySide(operation, async () => {
        const transfer = await holding.bring(operation, () => {
          const confirm = node === undefined ? data.replicas : 1;
          return this.#transfer(holding, node, confirm, operation, undefined);
        });
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
      const transfer = await this.#transferOf(holding, links, 1, call.job.operation);
      return await processPassing(call, transfer);
    } finally {
      // What a failure left there, and copies on other nodes. Of one node's own shards, copies elsewhere stay.
      const request = encodeDropRequest({ dataId: data.id, version: data.version });
      const living = roster.living().filter(({ nodeId }) => (node?.id ?? nodeId) === nodeId);
      await drop(living.map((link) => [link, request]));
      if (node === undefined) {
        shards.clear();
      } else {
        for (const { index, holders } of shards.list()) {
          if (holders.every((id) => id === node.id)) shards.forget(index);
          else shards.remove(index, node.id);
        }
      }
    }
  }

  async #transfer(
    holding: Holding,
    node: Node | undefined,
    confirm: number,
    operation: Operation,
    onProgress: ((progress: Progress) => void) | undefined,
  ): Promise<TransferReport> {
    const { data, shards } = holding;
    const { roster } = this.#started();
    const links = this.#targetLinks(node);
    const copies = node === undefined ? data.replicas : 1;
    checkNodeCount(data, node === undefined ? links.length : data.replicas);
    const known = new Set(shards.list().map(({ index }) => index));
    const added = new Map<string, number[]>();
    const note = (nodeId: string, index: number): void => {
      const indexes = added.get(nodeId);
      if (indexes === undefined) added.set(nodeId, [index]);
      else indexes.push(index);
    };
    try {
      const report = await transferData({
        ...(await this.#transferOf(holding, links, copies, operation)),
        confirm,
        returns: this.#returns,
        onProgress: (progress) => this.#tellProgress('transfer', progress, onProgress),
        onStored(cut, nodeId, crc32c) {
          if (shards.add(cut, crc32c, nodeId)) note(nodeId, cut.index);
          return undefined;
        },
      });
      await this.#settle(holding, node, confirm, operation, note);
      return report;
    } catch (thrown) {
      for (const [nodeId, indexes] of added) {
        for (const index of indexes) shards.remove(index, nodeId);
      }
      for (const { index } of shards.list()) if (!known.has(index)) shards.forget(index);
      const { id: dataId, version } = data;
      const touched = new Set([...links.map(({ nodeId }) => nodeId), ...added.keys()]);
      const living = [...touched].filter((nodeId) => roster.isLiving(nodeId));
      await drop(
        living.map((nodeId) => {
          // With nothing there from before, also what arrived without a word about it.
          const indexes = shards.count === 0 ? undefined : (added.get(nodeId) ?? []);
          const named = indexes === undefined ? {} : { shards: indexes };
          return [roster.link(nodeId), encodeDropRequest({ dataId, version, ...named })];
        }),
      );
      throw thrown;
    }
  }

  /**
   * Sees to it that what was confirmed is still there at the end of a transfer: some of it lies with nodes that went away afterwards, or came
   * back without it.
   */
  async #settle(
    holding: Holding,
    node: Node | undefined,
    confirm: number,
    operation: Operation,
    note: (nodeId: string, index: number) => void,
  ): Promise<void> {
    const { keeper } = this.#started();
    if (node !== undefined) {
      keeper.checkHeld(holding, confirm, node.id);
    } else if (!keeper.isHeld(holding, confirm)) {
      const away = keeper.awayFrom(holding).filter((nodeId) => this.#returns.isAwaited(nodeId));
      await Promise.all(away.map((nodeId) => this.#returns.wait(nodeId, operation)));
      operation.throwIfFailed();
      if (!keeper.isHeld(holding, confirm)) await keeper.repair(holding, operation, note);
      keeper.checkHeld(holding, confirm);
    }
  }

  async #transferOf(
    { data }: Holding,
    links: readonly NodeLink[],
    copies: number,
    operation: Operation,
  ): Promise<PassingTransfer> {
    // Measured here as for a plan, so that the shards go where the plan has said.
    const sizeBytes = await data.source.measure(this.#env);
    const totalBytes = sizeBytes === undefined ? undefined : sizeBytes * copies;
    const { keeper, engine } = this.#started();
    const placement = keeper.placementOver(links, totalBytes);
    return {
      env: this.#env,
      operation,
      cargo: data,
      sourceId: this.#clientId,
      tools: engine,
      links,
      place: ({ index, bytes }: ShardCut) =>
        placement.placeCopies(shardKey(data.id, index), bytes, copies),
    };
  }

  /** Each shard once, at the one of its holders that has least to do; with `node`, those that lie there. */
  #shardsPerNode(holding: Holding, node: Node | undefined): StoredShards {
    const { keeper } = this.#started();
    const { data, shards } = holding;
    const links = this.#targetLinks(node);
    const all = shards.list();
    const wanted =
      node === undefined ? all : all.filter(({ holders }) => holders.includes(node.id));
    if (wanted.length === 0) throw notTransferred(data, node);
    if (node !== undefined) return { links, perNode: new Map([[node.id, wanted]]) };
    keeper.checkHeld(holding);
    const perNode = new Map(links.map(({ nodeId }) => [nodeId, [] as PlacedShard[]]));
    const bytes = new Map(links.map(({ nodeId }) => [nodeId, 0]));
    for (const shard of wanted) {
      const least = shard.holders.reduce((a, b) =>
        (bytes.get(b) ?? Infinity) < (bytes.get(a) ?? Infinity) ? b : a,
      );
      perNode.get(least)?.push(shard);
      bytes.set(least, (bytes.get(least) ?? 0) + shard.bytes);
    }
    return { links, perNode };
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

  #checkStarted(): Running {
    this.#checkNotClosed();
    return this.#started();
  }

  /** For work that began before a close and winds up after it. */
  #started(): Running {
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

function checkNodeCount({ id, replicas }: Data, count: number): void {
  if (count >= replicas) return;
  throw new PaipaiError(
    'PAIPAI_ERR_NODE_LOST',
    `data ${id} want ${replicas} replicas on different nodes, and there are ${count} nodes`,
    { dataId: id },
  );
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
