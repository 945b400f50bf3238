import { EventEmitter } from 'node:events';
import { checkId, invalidArgument } from '../base/check.js';
import type { Env } from '../base/env.js';
import { isPaipaiError, PaipaiError, toError } from '../base/errors.js';
import type { BalancingStrategy, TaskSpread } from '../cluster/balancing/balancer.js';
import { createPlacement, planShards } from '../cluster/placement/placement.js';
import { dropShards } from '../cluster/transfer/drop-shards.js';
import { dropMethod, encodeDropRequest } from '../cluster/transfer/messages.js';
import { nodeError } from '../cluster/transfer/node-error.js';
import { Operation } from '../cluster/transfer/operation.js';
import type { Progress, RepairReport, TransferReport } from '../cluster/transfer/report.js';
import type { Coordinator } from '../coordination/coordinator.js';
import { CoordinatorClient } from '../coordination/coordinator-client.js';
import { EtcdCoordinator } from '../coordination/etcd/etcd-coordinator.js';
import { RemoteCoordinator } from '../coordination/remote/remote-coordinator.js';
import { planCuts } from '../data/splitter.js';
import { createRealEnv } from '../node/real-env.js';
import type { Roster } from '../node/roster.js';
import { selectEngine } from '../node/select-network.js';
import type { MapReduceProgress, MapReduceResult } from '../processing/map-reduce/report.js';
import { argsBytesMax } from '../processing/messages.js';
import { type BroadcastResult, deliver, deliverToAll } from '../processing/messaging/deliver.js';
import { encodeMessageValue } from '../processing/messaging/message.js';
import { checkTopic } from '../processing/messaging/topics.js';
import type { ProcessResult } from '../processing/report.js';
import type { Transaction } from '../transactions/transaction.js';
import { Transactor } from '../transactions/transactor.js';
import { encodeValue } from '../wire/values.js';
import { Data } from './data.js';
import { Holding } from './holding.js';
import { MessageBalance } from './message-balance.js';
import { NetNodes, type NodeEvent } from './net-nodes.js';
import { recordNodesOf } from './net-records.js';
import { Node } from './node.js';
import { checkNodeChanges, type NodeChanges } from './node-changes.js';
import {
  type AnyMessageOptions,
  anyMessageNames,
  type ContentsOptions,
  checkConfirm,
  checkHandlerName,
  checkMapReduceOptions,
  checkNetOptions,
  checkOperationOptions,
  checkProcessOptions,
  checkRebalanceOptions,
  checkStrategy,
  checkToken,
  contentsNames,
  type DropOptions,
  dropNames,
  type MapReduceOptions,
  type MessageOptions,
  messageNames,
  type NetOptions,
  type NetSettings,
  type OperationOptions,
  type OperationSettings,
  type ProcessOptions,
  type RebalanceOptions,
  type RebalanceSettings,
  type TransferOptions,
  transferNames,
} from './options.js';
import { Rebalancer } from './rebalancer.js';
import { ShardKeeper } from './shard-keeper.js';
import { ShardMaps } from './shard-maps.js';
import { checkNodeCount, ShardTransfers } from './shard-transfers.js';
import { changedMeanwhile, notTransferred, ShardWork } from './shard-work.js';
import { linksOf, type StartedNet } from './started-net.js';
import type {
  Explanation,
  FoundData,
  HeldData,
  HeldShards,
  InDoubtTransaction,
  NetEvents,
  NetInfo,
  NodeStatus,
  Plan,
  RebalancePlan,
  RebalanceReport,
} from './types.js';
import { Upkeep } from './upkeep.js';

type State = { readonly kind: 'new' | 'starting' } | ({ readonly kind: 'started' } & Running);

interface Running extends StartedNet {
  readonly transfers: ShardTransfers;
  readonly work: ShardWork;
  readonly rebalancer: Rebalancer;
  readonly transactor: Transactor;
}

/** What a net gives of its coordinator; the net closes it. */
export type NetCoordinator = Omit<CoordinatorClient, 'close' | typeof Symbol.asyncDispose>;

/**
 * A net of nodes, seen from its client: data are cut into shards, transferred to the nodes, processed where they lie, and the
 * results gathered. Whatever is called before `start` fails with PAIPAI_ERR_NOT_STARTED, after `close` with PAIPAI_ERR_CLOSED. In a net with a
 * coordinator, whatever changes data or looks for them fails with PAIPAI_ERR_STALE_MAP, _COORDINATOR_DOWN, _COORDINATOR_AMBIGUOUS and _PEER_CLOSED too.
 */
export class Net extends EventEmitter<NetEvents> {
  readonly #settings: NetSettings;
  readonly #env: Env = createRealEnv();
  readonly #clientId: string;
  readonly #nodes: NetNodes;
  readonly #holdings = new Map<string, Holding>();
  readonly #operations = new Set<Operation>();
  readonly #balance: MessageBalance;
  /** The table itself, and what users have of it, which closes it. */
  readonly #table: Coordinator;
  readonly #coordinator: CoordinatorClient;
  readonly #upkeep: Upkeep | undefined;
  #state: State = { kind: 'new' };
  #starting: Promise<void> | undefined;
  #leaving: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
  constructor(options: NetOptions = {}) {
    super();
    this.#settings = checkNetOptions(options);
    this.#clientId = `client-${Buffer.from(this.#env.random.bytes(8)).toString('hex')}`;
    this.#nodes = new NetNodes({
      env: this.#env,
      settings: this.#settings,
      clientId: this.#clientId,
      host: {
        pidOf: (node) =>
          this.#state.kind === 'started' ? this.#state.roster.pidOf(node.id) : undefined,
        processOn: (node, data, handler, options) => this.#process(data, handler, options, node),
      },
      look: async (link) => {
        const { keeper } = this.#started();
        for (const holding of this.#holdings.values()) await keeper.look(holding, link);
      },
      onEvent: (event, node) => this.#onNodeEvent(event, node),
      onLost: (node, error) => {
        this.#upkeep?.poke();
        this.emit('nodeLost', node, error);
      },
    });
    this.#balance = new MessageBalance(this.#env, this.#nodes);
    const { etcd } = this.#settings;
    this.#table =
      etcd === undefined
        ? new RemoteCoordinator(() => {
            this.#checkStarted();
            return this.#nodes.coordinators();
          })
        : new EtcdCoordinator(this.#env, etcd, () => this.#checkStarted());
    this.#coordinator = new CoordinatorClient(this.#env, this.#table);
    const { rebalance } = this.#settings;
    this.#upkeep =
      rebalance === undefined
        ? undefined
        : new Upkeep({
            env: this.#env,
            afterMs: rebalance.afterMs,
            run: (signal) => this.#rebalanceInBackground(rebalance.bytesPerSecond, signal),
          });
  }

  /**
   * Before the start; a running net takes nodes in by `joinNode`.
   * @throws PaipaiError PAIPAI_ERR_DUPLICATE_ID; PAIPAI_ERR_INVALID_STATE once the net has started, or for a node of another net.
   */
  addNode(node: Node): this {
    if (!(node instanceof Node)) throw invalidArgument('node', 'a Node', node);
    this.#checkNotClosed();
    if (this.#state.kind !== 'new') {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_STATE',
        'nodes are added before the net is started: joinNode takes one into a running net',
      );
    }
    this.#nodes.add(node);
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
   * what is wrong with it: _NET_NAME, _SECRET, _FRAME_MAGIC, _VERSION_MISMATCH, _HANDSHAKE_TIMEOUT, _DUPLICATE_ID. With `join` also _METHOD_UNKNOWN for
   * something that is no node, and _INVALID_STATE for a node that is no member.
   */
  async start(): Promise<void> {
    this.#checkNotClosed();
    if (this.#state.kind !== 'new') {
      throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'the net is started already');
    }
    if (this.#nodes.count === 0 && this.#settings.join === undefined) {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_STATE',
        'the net has no node: add one before the start, or join nodes that run already',
      );
    }
    this.#state = { kind: 'starting' };
    this.#starting = this.#start();
    await this.#starting;
  }

  async #start(): Promise<void> {
    try {
      const engine = selectEngine(this.#settings.engine);
      const roster = await this.#nodes.start(engine);
      const { etcd, quorum } = this.#settings;
      const isAgreed = etcd !== undefined || quorum !== undefined;
      const maps = new ShardMaps({
        coordinator: this.#table,
        isCoordinated: () => isAgreed || this.#nodes.isCoordinated,
        nodes: this.#nodes,
        roster,
      });
      const keeper = new ShardKeeper({
        env: this.#env,
        roster,
        maps,
        tools: engine,
        sourceId: this.#clientId,
        strategy: this.#settings.placement,
        weightOf: (nodeId) => this.#nodes.get(nodeId)?.weight ?? 1,
        isTaker: (nodeId) => this.#nodes.isTaker(nodeId),
      });
      const net: StartedNet = {
        env: this.#env,
        clientId: this.#clientId,
        engine,
        nodes: this.#nodes,
        roster,
        keeper,
        maps,
      };
      const transfers = new ShardTransfers(net);
      const work = new ShardWork(net, transfers);
      const rebalancer = new Rebalancer(net, this.#holdings);
      const transactor = new Transactor({
        env: this.#env,
        coordinator: this.#table,
        nodes: recordNodesOf(net),
      });
      this.#state = { kind: 'started', ...net, transfers, work, rebalancer, transactor };
    } catch (thrown) {
      this.#state = { kind: 'new' };
      throw thrown;
    }
  }

  /** Not where it was found out, so that what a listener throws is an uncaught exception and disturbs nobody. */
  #onNodeEvent(event: NodeEvent, node: Node): void {
    if (event !== 'suspect' && event !== 'alive') this.#upkeep?.poke();
    if (event === 'leave') this.#balance.forget(node.id);
    queueMicrotask(() => this.emit(event, node));
  }

  /**
   * Takes a remote node into the running net. New data go there too; `rebalance` moves what lies on the others.
   * Fails: PAIPAI_ERR_DUPLICATE_ID, _INVALID_ARGUMENT for an embedded node, and as `start` for a remote one.
   */
  async joinNode(node: Node, options: OperationOptions = {}): Promise<void> {
    if (!(node instanceof Node)) throw invalidArgument('node', 'a Node', node);
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    this.#checkStarted();
    if (node.address === undefined) {
      throw invalidArgument('node', 'a node with an address, once the net runs', node.id);
    }
    await this.#operate(`joining of node ${node.id}`, settings, (operation) =>
      operation.race(this.#nodes.join(node, operation.signal)),
    );
  }

  /**
   * Has every shard on the node copied to where placement puts it among the others, and dropped there; then the net parts with it, and an
   * embedded one ends. It waits for what is under way on the data. When it fails the node stays in the net.
   * Fails: PAIPAI_ERR_UNKNOWN_NODE; _INVALID_STATE for the last node; _NODE_LOST, with `shardIndexes`, when shards lie on this node alone and
   * cannot be had from there; as `rebalance`.
   */
  async removeNode(node: Node, options: RebalanceOptions = {}): Promise<RebalanceReport> {
    const settings = checkRebalanceOptions(options, this.#settings.deadlineMs);
    const { rebalancer } = this.#checkStarted();
    this.#checkNode(node);
    const leaving = new Set([node.id]);
    this.#checkSomeStay(leaving);
    this.#upkeep?.giveWay();
    return this.#operate(`removal of node ${node.id}`, settings.operation, async (operation) => {
      const holdings = [...this.#holdings.values()];
      const report = await this.#nodes.removeAfter(node, async () => {
        // What began before may still bring something there.
        await operation.race(Promise.all(holdings.map(({ idle }) => idle)));
        const done = await rebalancer.run({ ...settings, leaving }, operation);
        rebalancer.checkLeft(leaving);
        return done;
      });
      for (const { shards } of holdings) shards.retain(node.id, () => false);
      return report;
    });
  }

  /**
   * What the net agrees on: a table of keys with versions, and on it leases, locks and elections. Unless the option `coordination` says
   * otherwise, of a net of embedded nodes the first one serves it, else the node that was started with `--coordinator`; it outlives that node when
   * its store does.
   * Fails: as `Coordinator`, and PAIPAI_ERR_COORDINATOR_DOWN, _COORDINATOR_AMBIGUOUS; _INVALID_STATE in a net without one; PAIPAI_ERR_ACCESS for an etcd;
   * PAIPAI_ERR_PEER_CLOSED when what serves it goes away in the middle, and then a change may have been made.
   */
  get coordinator(): NetCoordinator {
    return this.#coordinator;
  }

  /** A node of the net, one that was found by `join` for instance. @throws PaipaiError PAIPAI_ERR_UNKNOWN_NODE. */
  node(id: string | number): Node {
    const nodeId = checkId('id', id);
    const node = this.#nodes.get(nodeId);
    if (node === undefined) throw unknownNode(nodeId);
    return node;
  }

  /** The nodes, and how they stand. */
  nodes(): NodeStatus[] {
    this.#checkStarted();
    return this.#nodes.statuses();
  }

  /**
   * Moves shards to where placement puts them among the nodes that are there: copies are made first, then those given up that lie elsewhere.
   * Meanwhile everybody reads and processes the data; what is given up is dropped when the work has ended that was under way. Data that were
   * transferred to a certain node stay there while it is in the net. Of several clients with the same nodes one should do this,
   * unless the net has a coordinator.
   * Fails, when all else has moved: PAIPAI_ERR_STORE_FULL, _SHARD_CHECKSUM, _NODE_LOST; at once: _DEADLINE, _ABORTED. What has moved has moved.
   */
  async rebalance(options: RebalanceOptions = {}): Promise<RebalanceReport> {
    const settings = checkRebalanceOptions(options, this.#settings.deadlineMs);
    this.#checkStarted();
    this.#upkeep?.giveWay();
    return this.#rebalance(settings);
  }

  #rebalance(settings: RebalanceSettings): Promise<RebalanceReport> {
    const { rebalancer } = this.#started();
    return this.#operate('rebalancing', settings.operation, (operation) =>
      rebalancer.run({ ...settings, leaving: new Set() }, operation),
    );
  }

  async #rebalanceInBackground(bytesPerSecond: number, signal: AbortSignal): Promise<void> {
    try {
      const report = await this.#rebalance({
        operation: { signal, deadlineMs: Infinity, onProgress: undefined },
        bytesPerSecond,
        onProgress: () => {},
      });
      if (report.copies + report.dropped === 0) return;
      queueMicrotask(() => this.emit('rebalance', report));
    } catch (thrown) {
      if (signal.aborted) return;
      queueMicrotask(() => this.emit('rebalanceFailed', toError(thrown)));
    }
  }

  /**
   * Where each shard would go, before anything moves. Data cut at records are read for it.
   * @throws PaipaiError PAIPAI_ERR_INVALID_STATE for a stream, which can be read only once; what its source fails with; _DEADLINE, _ABORTED.
   */
  plan(data: Data, options?: OperationOptions): Promise<Plan>;
  /**
   * What `rebalance` would move if nodes came and went, before anything does; with neither, what it would move now.
   * @throws PaipaiError PAIPAI_ERR_UNKNOWN_NODE, _DUPLICATE_ID; _INVALID_STATE when no node would be left.
   */
  plan(change: NodeChanges): Promise<RebalancePlan>;
  async plan(
    what: Data | NodeChanges,
    options: OperationOptions = {},
  ): Promise<Plan | RebalancePlan> {
    this.#checkNotClosed();
    return what instanceof Data ? this.#planData(what, options) : this.#planChange(what);
  }

  async #planData(data: Data, options: OperationOptions): Promise<Plan> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { source, shardBytes, records, id, replicas } = this.#holdingOf(data).data;
    const nodes = this.#nodes.takers();
    const cuts = await this.#operate(`plan of data ${id}`, settings, (operation) => {
      const { signal } = operation;
      return operation.race(planCuts(this.#env, source, { shardBytes, records, signal }));
    });
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

  #planChange(changes: NodeChanges): RebalancePlan {
    const { add, remove } = checkNodeChanges(changes);
    const { rebalancer } = this.#checkStarted();
    for (const node of remove) this.#checkNode(node);
    const removed = new Set(remove.map(({ id }) => id));
    for (const { id: nodeId } of add) {
      if (this.#nodes.get(nodeId) === undefined) continue;
      throw new PaipaiError('PAIPAI_ERR_DUPLICATE_ID', `the net has a node ${nodeId} already`, {
        nodeId,
      });
    }
    if (add.length === 0) this.#checkSomeStay(removed);
    return rebalancer.plan({ add, remove: removed });
  }

  /**
   * Brings every shard to `node`, or each to as many nodes as the data have replicas, which placement chooses. Settles when the receivers
   * have checked and stored every byte. Of data with several replicas, a node that goes away in the middle is replaced by another.
   * Fails: PAIPAI_ERR_UNKNOWN_DATA, _UNKNOWN_NODE, _NODE_LOST, _STORE_FULL, _DEADLINE, _ABORTED, _SHARD_CHECKSUM, and what
   * the source fails with (_SOURCE_…, _RECORD_TOO_LONG, _DATA_EMPTY); what it had stored by then is dropped, and what nodes
   * had on disk before is not. With `token` also PAIPAI_ERR_FENCED.
   */
  async transfer(data: Data, node?: Node, options: TransferOptions = {}): Promise<TransferReport> {
    const settings = {
      ...checkOperationOptions(options, this.#settings.deadlineMs, transferNames),
      token: checkToken(options.token),
    };
    const { transfers } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    if (node !== undefined) this.#checkTaker(node);
    const call = {
      nodeId: node?.id,
      confirm: checkConfirm(options.confirm, node === undefined ? data.replicas : 1),
      onProgress: this.#progressOf('transfer', settings.onProgress),
    };
    return this.#operateOn(
      holding,
      `transfer of data ${data.id}`,
      settings,
      (operation) =>
        holding.exclusively(operation, () => transfers.transfer(holding, call, operation)),
      () => data.source.repeatable,
    );
  }

  /**
   * Runs a handler over every shard, on the nodes where they lie; data that lie nowhere yet are transferred first. Of a shard with several
   * copies one is processed, and each shard counts once, whatever is done again.
   * Fails as `transfer` does, and with PAIPAI_ERR_INVALID_ARGUMENT, _HANDLER_UNKNOWN, _HANDLER_FAILED, _HANDLER_RESULT, _VALUE (for `args`).
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
    const { operation: operationSettings, onProgress, ...rest } = settings;
    const args = encodeArgs(options.args);
    const { work } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    const call = {
      ...rest,
      args,
      onProgress: (progress: MapReduceProgress): void => {
        onProgress?.(progress);
        if (this.listenerCount('progress') > 0) this.emit('progress', progress);
      },
      onTransfer: this.#progressOf('transfer', undefined),
    };
    return this.#operateOn(
      holding,
      `MapReduce of data ${data.id}`,
      operationSettings,
      (operation) => work.mapReduce(holding, call, operation),
    );
  }

  /**
   * Gathers the shards back, each checked again, and from another of its nodes where one is gone or has it no more as it was; that one
   * gets it anew. Data that this net has not transferred are looked for on the nodes first, as by `find`.
   * @throws PaipaiError PAIPAI_ERR_UNKNOWN_DATA when they are not on the nodes; _NODE_LOST, with `shardIndexes`, when all nodes with some shards
   * are gone; _SHARD_CHECKSUM, with `shardIndexes`, when no node has some shards as they were.
   */
  async read(data: Data, options: OperationOptions = {}): Promise<Uint8Array> {
    return this.#read(data, options, (holding, operation, keeper) =>
      keeper.read(holding, operation),
    );
  }

  /**
   * The same without all of it in memory at once: `take` gets the content of each shard, in order, with its offset in the data, and gets the next
   * one when it has settled. The bytes are its own. Up to 64 MiB, or one shard, are read ahead.
   * @throws PaipaiError as `read` does, at the first shard that cannot be had, and what `take` fails with; it may have had a part of the data by then.
   */
  async readEach(
    data: Data,
    take: (content: Uint8Array, offset: number) => void | Promise<void>,
    options: OperationOptions = {},
  ): Promise<void> {
    if (typeof take !== 'function') throw invalidArgument('take', 'a function', take);
    await this.#read(data, options, (holding, operation, keeper) =>
      keeper.readEach(holding, operation, take),
    );
  }

  async #read<T>(
    data: Data,
    options: OperationOptions,
    read: (holding: Holding, operation: Operation, keeper: ShardKeeper) => Promise<T>,
  ): Promise<T> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { keeper, maps } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    return this.#operate(`reading of data ${data.id}`, settings, (operation) =>
      holding.sideBySide(operation, async () => {
        // Whoever reads hears of no version of a map, so it reads by the latest one.
        await maps.look(holding, operation);
        await keeper.find(holding, operation);
        if (holding.shards.count === 0) throw notTransferred(data);
        return read(holding, operation, keeper);
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
        const isWhole = holding.shards.list().every(({ holders }) => holders.length > 0);
        return count === 0 || !isWhole
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
    const { keeper, maps } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    return this.#operateOn(holding, `repair of data ${data.id}`, settings, (operation) =>
      holding.exclusively(operation, async () => {
        await maps.read(holding, operation);
        await keeper.find(holding, operation);
        if (holding.shards.count === 0) throw notTransferred(data);
        const isMapped = await maps.claim(holding, operation);
        // Some of what the map says may have gone with a disk.
        if (isMapped) await maps.verify(holding, operation);
        const report = await keeper.repair(holding, operation);
        if (isMapped) await maps.publish(holding, operation);
        keeper.checkHeld(holding);
        return report;
      }),
    );
  }

  /**
   * Sends a message to one node, once. Settles when the handler of the topic there has taken it, with what that returned (null for nothing).
   * @param topic 1 to 255 bytes
   * @param value anything that msgpack carries, at most 1 MiB encoded
   * Fails: PAIPAI_ERR_UNKNOWN_NODE, _NODE_LOST, _HANDLER_UNKNOWN, _HANDLER_FAILED, _HANDLER_RESULT, _VALUE, _OVERLOADED, _DEADLINE, _ABORTED;
   * after _NODE_LOST, _DEADLINE and _ABORTED it is not known whether the handler ran.
   */
  async send(
    nodeId: string | number,
    topic: string,
    value?: unknown,
    options: MessageOptions = {},
  ): Promise<unknown> {
    const id = checkId('nodeId', nodeId);
    const message = { topic: checkTopic(topic), value: encodeMessageValue(value) };
    const settings = checkOperationOptions(options, this.#settings.deadlineMs, messageNames);
    const { roster } = this.#checkStarted();
    if (this.#nodes.get(id) === undefined) throw unknownNode(id);
    return this.#operate(`message '${topic}' to node ${id}`, settings, (operation) =>
      deliver(roster.link(id), message, operation),
    );
  }

  /**
   * `send` to one of the nodes that are there, the one that `strategy` says, once: a message is not sent again to another.
   * Fails as `send`, with the node in `nodeId`; PAIPAI_ERR_NODE_LOST also when no node is there.
   */
  async sendToAny(
    topic: string,
    value?: unknown,
    options: AnyMessageOptions = {},
  ): Promise<{ readonly nodeId: string; readonly value: unknown }> {
    const message = { topic: checkTopic(topic), value: encodeMessageValue(value) };
    const settings = checkOperationOptions(options, this.#settings.deadlineMs, anyMessageNames);
    const strategy = checkStrategy(options.strategy ?? 'p2cEwma');
    const { roster } = this.#checkStarted();
    return this.#operate(`message '${topic}' to any node`, settings, (operation) =>
      this.#balance.run(strategy, async (nodeId) => ({
        nodeId,
        value: await deliver(roster.link(nodeId), message, operation),
      })),
    );
  }

  /**
   * How the messages that `sendToAny` has sent by a strategy have spread over the nodes that are there now: w_i, max/mean, Jain's index, and
   * requests by load. Fails: PAIPAI_ERR_NODE_LOST when no node is there.
   */
  messageSpread(strategy: BalancingStrategy = 'p2cEwma'): TaskSpread {
    checkStrategy(strategy);
    this.#checkStarted();
    return this.#balance.spread(strategy);
  }

  /**
   * `send` to every node that is there, each once and all at the same time. Settles when each has taken it or failed, at the deadline at
   * the latest, and says which did what: a node never makes it reject.
   */
  async broadcast(
    topic: string,
    value?: unknown,
    options: MessageOptions = {},
  ): Promise<BroadcastResult> {
    const message = { topic: checkTopic(topic), value: encodeMessageValue(value) };
    const settings = checkOperationOptions(options, this.#settings.deadlineMs, messageNames);
    const { roster } = this.#checkStarted();
    return this.#operate(`broadcast '${topic}'`, settings, (operation) =>
      deliverToAll(roster.living(), message, operation),
    );
  }

  /**
   * What the nodes hold, of all data or of one id, and not only of those that this net has: on disk from whomever it came, in memory what this
   * net put there. By id and version. Fails: PAIPAI_ERR_DEADLINE, _ABORTED, _PROTOCOL. A node that goes away meanwhile holds nothing.
   */
  async contents(options: ContentsOptions = {}): Promise<HeldData[]> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs, contentsNames);
    const dataId = options.dataId === undefined ? undefined : checkId('dataId', options.dataId);
    const { keeper } = this.#checkStarted();
    return this.#operate('list of data', settings, (operation) =>
      keeper.contents(operation, dataId),
    );
  }

  /** Which shards of `data`, which need not be in this net, nodes hold: for `Data.stored(id)` too. Fails as `contents` does. */
  async shardsOf(data: Data, options: OperationOptions = {}): Promise<HeldShards> {
    if (!(data instanceof Data)) throw invalidArgument('data', 'Data', data);
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { keeper } = this.#checkStarted();
    return this.#operate(`list of the shards of data ${data.id}`, settings, (operation) =>
      keeper.shardsOf(data, operation),
    );
  }

  /**
   * Drops this version of `data` from the nodes, whoever transferred it; they can be transferred anew. Nodes that are away keep what they have.
   * Fails: PAIPAI_ERR_UNKNOWN_DATA for data that are not in this net, _NODE_LOST, _STORE_FAILED, _STORE_FULL, _FENCED, _DEADLINE, _ABORTED.
   */
  async drop(data: Data, options: DropOptions = {}): Promise<void> {
    const settings = {
      ...checkOperationOptions(options, this.#settings.deadlineMs, dropNames),
      token: checkToken(options.token),
    };
    const net = this.#checkStarted();
    const holding = this.#holdingOf(data);
    await this.#operateOn(holding, `drop of data ${data.id}`, settings, (operation) =>
      holding.exclusively(operation, async () => {
        const { maps } = net;
        const isMapped = await maps.claim(holding, operation);
        holding.shards.clear();
        const isLeft = !isMapped || (await maps.publishRemoval(holding, operation));
        if (!isLeft) throw changedMeanwhile(data);
        const { id: dataId, version } = data;
        const mapVersion = maps.ownVersionOf(holding);
        const request = encodeDropRequest({ dataId, version, mapVersion });
        const deadlineMs = operation.remainingMs();
        const dropping = linksOf(net).map((link) =>
          link.peer.request(dropMethod, request, { deadlineMs }).catch((thrown: unknown) => {
            throw nodeError(link, thrown);
          }),
        );
        await operation.race(Promise.all(dropping));
      }),
    );
  }

  /**
   * Reads and writes records on several nodes, all of them or none: what `work` has read is as it was when what it has written counts. A record is a
   * value under a key, which lies on one of the nodes that are in the net when its first transaction is made. `work` is called again when others
   * come in between, so it should do nothing that cannot be done twice; when it throws nothing is written. It needs a coordinator.
   * Fails: PAIPAI_ERR_OUTCOME_UNKNOWN, with `transactionId`, when it may be committed: `outcomeOf` tells later. After all else nothing is written:
   * _NODE_LOST, _DEADLINE, _ABORTED, _STORE_FULL, _STORE_FAILED, _OVERLOADED, what `work` throws, and as `coordinator`.
   */
  async transaction<T>(
    work: (tx: Transaction) => T | PromiseLike<T>,
    options: OperationOptions = {},
  ): Promise<T> {
    if (typeof work !== 'function') throw invalidArgument('work', 'a function', work);
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { transactor } = this.#checkStarted();
    return this.#operate('transaction', settings, (operation) => transactor.run(work, operation));
  }

  /**
   * What has become of a transaction that failed with PAIPAI_ERR_OUTCOME_UNKNOWN; `unknown` for three seconds at most after the coordinator
   * can be asked again. Fails as `coordinator.get`; PAIPAI_ERR_INVALID_ARGUMENT for an id that is none.
   */
  async outcomeOf(
    transactionId: string,
    options: OperationOptions = {},
  ): Promise<'committed' | 'aborted' | 'unknown'> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { transactor } = this.#checkStarted();
    return this.#operate(`outcome of transaction ${transactionId}`, settings, (operation) =>
      transactor.outcomeOf(transactionId, operation),
    );
  }

  /**
   * Transactions that nodes have promised to follow and have not heard the outcome of. One whose client died is settled by the others within seconds
   * of the end of its lease, or when they meet it. Fails: PAIPAI_ERR_DEADLINE, _ABORTED; as `coordinator`.
   */
  async inDoubt(options: OperationOptions = {}): Promise<InDoubtTransaction[]> {
    const settings = checkOperationOptions(options, this.#settings.deadlineMs);
    const { transactor, roster } = this.#checkStarted();
    const lists = await this.#operate('list of transactions in doubt', settings, (operation) =>
      transactor.inDoubt(operation),
    );
    return [...lists].flatMap(([name, list]) =>
      list.map(({ id, forMs }) => ({ nodeId: roster.idOf(name), transactionId: id, forMs })),
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

  /** Takes no more work, waits for what is under way, then closes. Idempotent; `close` cuts it short. */
  leave(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
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

  async #leave(): Promise<void> {
    this.#upkeep?.stop();
    await this.#starting?.catch(() => {}); // Whoever started it hears why it failed.
    await Promise.all(Array.from(this.#operations, ({ closed }) => closed));
    await this.close();
  }

  async #close(): Promise<void> {
    this.#upkeep?.stop();
    if (this.#state.kind === 'started') await this.#state.transactor.close();
    await this.#coordinator.close();
    if (this.#state.kind === 'starting') this.#nodes.cutStart();
    await this.#starting?.catch(() => {}); // Whoever started it hears why it failed.
    const state = this.#state;
    if (state.kind !== 'started') return;
    this.#nodes.stop();
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
    await dropShards(
      data,
      holders.map((id) => ({ link: roster.link(id) })),
    );
  }

  async #process(
    data: Data,
    handler: string,
    options: ProcessOptions,
    node: Node | undefined,
  ): Promise<ProcessResult> {
    checkHandlerName(handler);
    const { operation: operationSettings, ...settings } = checkProcessOptions(
      options,
      this.#settings.deadlineMs,
    );
    const call = {
      ...settings,
      handler,
      args: encodeArgs(options.args),
      nodeId: node?.id,
      onProgress: this.#progressOf('process', operationSettings.onProgress),
      onTransfer: this.#progressOf('transfer', undefined),
    };
    const { work } = this.#checkStarted();
    const holding = this.#holdingOf(data);
    if (node !== undefined) this.#checkNode(node);
    return this.#operateOn(
      holding,
      `handler '${handler}' on data ${data.id}`,
      operationSettings,
      (operation) => work.process(holding, call, operation),
    );
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

  /**
   * `#operate` on data with a shard map: when others have changed that, it is read anew, and the work done once more where it can be.
   */
  async #operateOn<T>(
    holding: Holding,
    what: string,
    settings: OperationSettings,
    work: (operation: Operation) => Promise<T>,
    isRepeatable = () => holding.data.source.repeatable || holding.shards.count > 0,
  ): Promise<T> {
    const startMs = this.#env.clock.nowMs();
    try {
      return await this.#operate(what, settings, work);
    } catch (thrown) {
      if (!isPaipaiError(thrown, 'PAIPAI_ERR_STALE_MAP')) throw thrown;
      const { mapVersion = 0 } = thrown;
      const leftMs = settings.deadlineMs - (this.#env.clock.nowMs() - startMs);
      if (!isRepeatable() || leftMs <= 0) throw thrown;
      return this.#operate(what, { ...settings, deadlineMs: leftMs }, async (operation) => {
        await this.#started().maps.refresh(holding, operation, mapVersion);
        return work(operation);
      });
    }
  }

  #progressOf(
    phase: 'transfer' | 'process',
    onProgress: ((progress: Progress) => void) | undefined,
  ): (progress: Progress) => void {
    return (progress) => {
      onProgress?.(progress);
      if (this.listenerCount('progress') > 0) this.emit('progress', { phase, ...progress });
    };
  }

  #checkNotClosed(): void {
    const isLeaving = this.#leaving !== undefined;
    if (this.#closing === undefined && !isLeaving) return;
    const why = isLeaving ? 'the net is being left, and takes no more work' : 'the net is closed';
    throw new PaipaiError('PAIPAI_ERR_CLOSED', why);
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

  #checkSomeStay(leaving: ReadonlySet<string>): void {
    if (this.#nodes.takers().some(({ id }) => !leaving.has(id))) return;
    throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'a net keeps one node at least');
  }

  #checkTaker(node: Node): void {
    this.#checkNode(node);
    if (this.#nodes.isTaker(node.id)) return;
    throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', `node ${node.id} leaves the net`, {
      nodeId: node.id,
    });
  }

  #checkNode(node: Node): void {
    if (!(node instanceof Node)) throw invalidArgument('node', 'a Node', node);
    if (this.#nodes.get(node.id) === node) return;
    throw unknownNode(node.id);
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

function unknownNode(nodeId: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_UNKNOWN_NODE', `the net has no such node ${nodeId}`, {
    nodeId,
  });
}

function encodeArgs(args: unknown): Uint8Array | undefined {
  if (args === undefined) return undefined;
  const bytes = encodeValue(args);
  if (bytes.byteLength <= argsBytesMax) return bytes;
  throw invalidArgument('args', `at most ${argsBytesMax} bytes when encoded`, bytes.byteLength);
}
