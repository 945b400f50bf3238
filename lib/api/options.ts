import {
  checkBoolean,
  checkDuration,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkString,
  invalidArgument,
} from '../base/check.js';
import { type BalancingStrategy, balancingStrategies } from '../cluster/balancing/balancer.js';
import { checkSeeds } from '../cluster/membership/join-rounds.js';
import { type PlacementStrategy, placementStrategies } from '../cluster/placement/placement.js';
import type { Progress } from '../cluster/transfer/report.js';
import {
  checkEtcd,
  type EtcdOptions,
  type EtcdSettings,
  isEtcdUrl,
} from '../coordination/etcd/etcd-options.js';
import { checkQuorum, type QuorumOptions } from '../coordination/quorum/quorum-options.js';
import { type RunAs, runAsChoices } from '../node/launch.js';
import { type EngineChoice, engineChoices } from '../node/select-network.js';
import { moduleUrl } from '../node/serve.js';
import { handlerNameBytesMax } from '../processing/handlers.js';
import {
  memoryBytesDefault,
  memoryBytesMax,
  memoryBytesMin,
} from '../processing/map-reduce/limits.js';
import { partitionsMax } from '../processing/map-reduce/partition.js';
import type { MapReduceProgress } from '../processing/map-reduce/report.js';
import { concurrencyMax } from '../processing/messages.js';
import { secretBytesOf } from '../session/settings.js';
import type { StoreChoice } from '../store/open-store.js';

export interface NetOptions {
  /** 1 to 255 bytes; the nodes must bear the same. Default 'default'. */
  name?: string;
  /** At least 16 bytes, shared by the net and its remote nodes. Embedded nodes get one of their own, made for this run. */
  secret?: string | Uint8Array;
  /**
   * Nodes that run already, as `tcp://host:port`. At its start the net asks the first that answers who else is there, and adds each of them
   * that is alive, unless it was added by hand.
   */
  join?: readonly string[];
  /**
   * How remote nodes are reached. Default 'direct'.
   *
   * - 'direct': each at its own address.
   * - 'hub': all through a node of `join`, the first that answers, and whichever does when that one is lost. Nodes are known by
   *   their ids alone, and only the hub has to be reachable from here.
   */
  route?: Route;
  /** Module whose named exports are the handlers of the embedded nodes: a URL, or a path. */
  handlers?: URL | string;
  /** How embedded nodes run that do not say it themselves. Default 'process'. */
  runAs?: RunAs;
  /**
   * Which node gets which shard of data that are transferred to all of them. Default 'boundedRendezvous'.
   *
   * - 'boundedRendezvous': most shards of the same data go to the same nodes when the net has one node more or less, and no node gets
   *   more than 1.1 times its share and one shard.
   * - 'weighted': bytes in proportion to the weights of the nodes, to within one shard; for data that are processed once. When the net has
   *   one node more or less, nearly all of them would have to move.
   * - 'rendezvous': only shards of that one node go elsewhere; shares come out as chance has it.
   * - 'roundRobin': each node in turn, whatever its weight.
   */
  placement?: PlacementStrategy;
  /**
   * What the net agrees on by (`net.coordinator`). Default 'local'. All clients of a net choose the same.
   *
   * - 'local': a node of the net serves it, the first embedded one or the one that was started with `--coordinator`.
   * - `etcd://HOST:PORT`, more of them behind commas, `etcds://` for TLS, `USER:PASSWORD@` in front; or an object with `etcd`: an etcd of 3.4 or newer, under
   *   a prefix with the name of the net.
   * - `{ quorum: ['a', 'b', 'c'] }`: 3, 5 or 7 nodes that were started with `--quorum a,b,c`; a majority of them decides.
   */
  coordination?: 'local' | EtcdOptions | QuorumOptions | `etcd://${string}` | `etcds://${string}`;
  /** Default 'auto': the native engine where it works. */
  engine?: EngineChoice;
  /** For a transfer or a processing without its own. Default 600,000 (10 minutes); Infinity is none. */
  deadlineMs?: number;
  /**
   * How long a transfer waits in milliseconds for a remote node that went away in the middle, before it fails with PAIPAI_ERR_NODE_LOST. When the
   * node comes back, it gets anew what it had not confirmed. Default 5,000; 0: not at all.
   */
  reconnectMs?: number;
  /**
   * Whether shards move by themselves to where placement puts them when nodes came or went, which also makes missing copies; events
   * `rebalance` and `rebalanceFailed` tell of it. True: with the defaults. Default false: only `net.rebalance` and `net.repair` move them.
   */
  rebalance?: boolean | BackgroundOptions;
}

export interface BackgroundOptions {
  /** 1,024 or more; default 33,554,432 (32 MiB). */
  bytesPerSecond?: number;
  /** How long no node must have come or gone before it begins, in milliseconds. Default 5,000. */
  afterMs?: number;
}

export interface NodeOptions {
  /** Where a remote node listens, as `tcp://host:port` or `unix:///path`. Without it the node is embedded. */
  address?: string;
  /** A node of twice the weight gets twice the bytes. Above 0, default 1. */
  weight?: number;
  /** For an embedded node. Default: what the net says. */
  runAs?: RunAs;
  /**
   * Where an embedded node keeps its shards: 'memory', or a folder on disk, which outlives node and net. No two nodes share one.
   * Default 'memory'. A remote node is told so where it starts: `paipainet node --store`.
   */
  store?: StoreChoice;
}

export interface OperationOptions {
  /** Aborts with PAIPAI_ERR_ABORTED. */
  signal?: AbortSignal;
  /** Milliseconds until PAIPAI_ERR_DEADLINE; Infinity is none. Default: what the net says. */
  deadlineMs?: number;
  onProgress?: (progress: Progress) => void;
}

/** Of a message; the deadline ends the handler too. */
export type MessageOptions = Omit<OperationOptions, 'onProgress'>;

export interface AnyMessageOptions extends MessageOptions {
  /**
   * Which of the nodes that are there takes the message. Default 'p2cEwma'.
   *
   * - 'p2cEwma': of two nodes drawn at random the one that will probably answer sooner: by how long it took lately, times the messages it has.
   * - 'leastInFlight': the node that has the fewest messages of this client, by its weight.
   * - 'cpuLoad': at random, by weight and by how idle the nodes of a net that was joined say they are.
   * - 'roundRobin': each node in turn, whatever its weight and load.
   */
  strategy?: BalancingStrategy;
}

export interface TransferOptions extends OperationOptions {
  /**
   * How many copies of each shard must be confirmed, 1 to the replicas of the data. With fewer than all, a node that goes away and whose copy
   * no other can take does not fail the transfer; `net.repair` makes what is missing. Default: all of them.
   */
  confirm?: number;
  /**
   * The fencing token of the lock, or the term of the leader, under which the data are changed. In a net with shard maps a change under a lower one
   * than before, or without one, fails with PAIPAI_ERR_FENCED, however late it comes. Default: none.
   */
  token?: number;
}

export interface DropOptions extends Omit<OperationOptions, 'onProgress'> {
  /** As of a transfer. */
  token?: number;
}

export interface RebalanceOptions extends Omit<OperationOptions, 'onProgress'> {
  /** Bytes of shards that are copied in a second: 1,024 or more. Default: no limit. */
  bytesPerSecond?: number;
  /** Hears of the sums so far. */
  onProgress?: (progress: RebalanceProgress) => void;
}

export interface RebalanceProgress {
  /** Copies made, and their bytes. */
  readonly copies: number;
  readonly bytes: number;
  /** Copies given up. */
  readonly dropped: number;
}

export interface ProcessOptions extends OperationOptions {
  /** Anything that msgpack carries, at most 40 KiB encoded; the handler finds it in its context. */
  args?: unknown;
  /**
   * Whether shards stay on their nodes. With false each is sent, processed, dropped, and the next takes its place: so data larger
   * than all memory are processed. Data that lay on the nodes before are dropped when all of them have been processed, and stay when the
   * call fails. Default true.
   */
  keep?: boolean;
  /**
   * Which of the nodes that hold a shard processes it, where there are several, which one gets a shard that only passes through, and which node
   * merges. Shards are given away as nodes have room for them, so a slow node gets fewer. Default 'leastInFlight'.
   *
   * - 'leastInFlight': the node that has the fewest shards to do, by its weight.
   * - 'p2cEwma': of two nodes drawn at random the one that will probably be done sooner: by how long its shards took lately, times those it has.
   * - 'cpuLoad': at random, by weight and by how idle the nodes of a net that was joined say they are.
   * - 'roundRobin': each node in turn, whatever its weight and load. No node takes over what another one has not begun.
   */
  strategy?: BalancingStrategy;
  /** How many shards a node works on at once: 1 to 1,024, and never more than it has workers. Default: as many as it has workers. */
  concurrency?: number;
  /**
   * How many times a shard is tried again when its handler has thrown, or its worker died, on another node that holds it where there is one:
   * 0 to 100, default 0. After that the call fails with PAIPAI_ERR_HANDLER_FAILED, and `cause` has all failures of the shard. A merge is not tried
   * again. The loss of a node is no failure of a handler: others that hold its shards always take them over.
   */
  retries?: number;
  /**
   * Whether a node that has nothing left to do begins, too, what another one is late with: a request that takes twice as long as those before it
   * did, and longer than 250 ms. The first value of a shard counts, the other is discarded; handlers with effects elsewhere should know that they
   * may run twice. Default true.
   */
  backups?: boolean;
}

export interface MapReduceOptions extends Omit<OperationOptions, 'onProgress'> {
  /** Name of the handler that maps: `(shard, { emit, … }) => void`. */
  map: string;
  /** Name of the handler that reduces: `(key, values, …) => value`. */
  reduce: string;
  /** Name of the handler that makes one value of several of the same key before they travel: `(key, values, …) => value`. */
  combine?: string;
  /** Anything that msgpack carries, at most 40 KiB encoded; the handlers find it in their context. */
  args?: unknown;
  /** Into how many parts the keys are divided, each reduced on one node: 1 to 1,024. Default: two for each worker of the nodes. */
  partitions?: number;
  /**
   * Memory that the job may take on each node for what is emitted and sorted, as far as it is counted: 1 MiB to 1 TiB. What is more goes
   * to temporary files. Default 256 MiB.
   */
  memoryBytes?: number;
  onProgress?: (progress: MapReduceProgress) => void;
}

export interface ContentsOptions extends OperationOptions {
  /** Only versions of the data of this id. */
  dataId?: string | number;
}

export type Route = 'direct' | 'hub';
const routes: readonly Route[] = ['direct', 'hub'];

const deadlineMsDefault = 600_000;

const netNames: ReadonlySet<string> = new Set<keyof NetOptions>([
  'name',
  'secret',
  'join',
  'route',
  'handlers',
  'runAs',
  'placement',
  'coordination',
  'engine',
  'deadlineMs',
  'reconnectMs',
  'rebalance',
]);
const quorumNames: ReadonlySet<string> = new Set<keyof QuorumOptions>(['quorum']);
const backgroundNames: ReadonlySet<string> = new Set<keyof BackgroundOptions>([
  'bytesPerSecond',
  'afterMs',
]);
export const nodeNames: ReadonlySet<string> = new Set<keyof NodeOptions>([
  'address',
  'weight',
  'runAs',
  'store',
]);
const operationNames = ['signal', 'deadlineMs', 'onProgress'] as const;
const plainNames: ReadonlySet<string> = new Set<keyof OperationOptions>(operationNames);
export const transferNames: ReadonlySet<string> = new Set<keyof TransferOptions>([
  ...operationNames,
  'confirm',
  'token',
]);
export const dropNames: ReadonlySet<string> = new Set<keyof DropOptions>([
  'signal',
  'deadlineMs',
  'token',
]);
export const contentsNames: ReadonlySet<string> = new Set<keyof ContentsOptions>([
  ...operationNames,
  'dataId',
]);
export const anyMessageNames: ReadonlySet<string> = new Set<keyof AnyMessageOptions>([
  'signal',
  'deadlineMs',
  'strategy',
]);
export const messageNames: ReadonlySet<string> = new Set<keyof MessageOptions>([
  'signal',
  'deadlineMs',
]);
const rebalanceNames: ReadonlySet<string> = new Set<keyof RebalanceOptions>([
  ...operationNames,
  'bytesPerSecond',
]);
const mapReduceNames: ReadonlySet<string> = new Set<keyof MapReduceOptions>([
  ...operationNames,
  'map',
  'reduce',
  'combine',
  'args',
  'partitions',
  'memoryBytes',
]);
const processNames: ReadonlySet<string> = new Set<keyof ProcessOptions>([
  ...operationNames,
  'args',
  'keep',
  'strategy',
  'concurrency',
  'retries',
  'backups',
]);

function checkSecret(secret: unknown): Uint8Array | undefined {
  return secretBytesOf(secret) ?? undefined;
}

function checkModule(handlers: unknown): string | undefined {
  if (handlers === undefined) return undefined;
  if (handlers instanceof URL || (typeof handlers === 'string' && handlers.length > 0)) {
    return moduleUrl(handlers);
  }
  throw invalidArgument('handlers', 'a URL or the path of a module', handlers);
}

export interface NetSettings {
  readonly name: string;
  readonly secret: string | Uint8Array | undefined;
  readonly join: readonly string[] | undefined;
  readonly route: Route;
  /** URL of the module. */
  readonly handlers: string | undefined;
  readonly runAs: RunAs;
  readonly placement: PlacementStrategy;
  /** Without both a node coordinates. */
  readonly etcd: EtcdSettings | undefined;
  readonly quorum: readonly string[] | undefined;
  readonly engine: EngineChoice;
  readonly deadlineMs: number;
  readonly reconnectMs: number;
  /** Undefined: nothing moves by itself. */
  readonly rebalance: Required<BackgroundOptions> | undefined;
}

function checkBackground(rebalance: unknown): Required<BackgroundOptions> | undefined {
  if (rebalance === undefined || rebalance === false) return undefined;
  if (rebalance !== true) checkOptions('rebalance', rebalance, backgroundNames);
  // `checkOptions` has seen to its shape.
  const { bytesPerSecond, afterMs } = (rebalance === true ? {} : rebalance) as BackgroundOptions;
  return {
    bytesPerSecond: checkRate('rebalance.bytesPerSecond', bytesPerSecond ?? 32 * 1024 * 1024),
    afterMs: checkInteger('rebalance.afterMs', afterMs ?? 5_000, 0, 0x7fff_ffff),
  };
}

function checkRate(name: string, bytesPerSecond: unknown): number {
  return checkInteger(name, bytesPerSecond, 1_024, Number.MAX_SAFE_INTEGER);
}

function checkCoordination(choice: unknown, netName: string): Pick<NetSettings, 'etcd' | 'quorum'> {
  const none = { etcd: undefined, quorum: undefined };
  if (choice === undefined || choice === 'local') return none;
  if (typeof choice === 'object' && choice !== null && 'quorum' in choice) {
    checkOptions('coordination', choice, quorumNames);
    return { ...none, quorum: checkQuorum(choice.quorum) };
  }
  if (
    typeof choice === 'string' ? isEtcdUrl(choice) : typeof choice === 'object' && choice !== null
  ) {
    return { ...none, etcd: checkEtcd(choice as string | EtcdOptions, netName) }; // Which looks at what is in it.
  }
  throw invalidArgument(
    'coordination',
    "'local', etcd://HOST:PORT, or an object with etcd or quorum",
    choice,
  );
}

export function checkNetOptions(options: NetOptions): NetSettings {
  checkOptions('options', options, netNames);
  const name = checkString('name', options.name ?? 'default', 255);
  const route = checkOneOf('route', options.route ?? 'direct', routes);
  if (route === 'hub' && options.join === undefined) {
    throw invalidArgument('join', "the addresses of hubs, with the route 'hub'", options.join);
  }
  return {
    route,
    name,
    ...checkCoordination(options.coordination, name),
    secret: checkSecret(options.secret),
    join: options.join === undefined ? undefined : checkSeeds(options.join),
    handlers: checkModule(options.handlers),
    runAs: checkOneOf('runAs', options.runAs ?? 'process', runAsChoices),
    placement: checkOneOf(
      'placement',
      options.placement ?? 'boundedRendezvous',
      placementStrategies,
    ),
    engine: checkOneOf('engine', options.engine ?? 'auto', engineChoices),
    deadlineMs: checkDuration('deadlineMs', options.deadlineMs ?? deadlineMsDefault, true),
    reconnectMs: checkInteger('reconnectMs', options.reconnectMs ?? 5_000, 0, 0x7fff_ffff),
    rebalance: checkBackground(options.rebalance),
  };
}

export interface OperationSettings {
  readonly signal: AbortSignal | undefined;
  readonly deadlineMs: number;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  /** Of a change of data; 0: none. */
  readonly token?: number;
}

export function checkOperationOptions(
  options: OperationOptions,
  deadlineMsOfNet: number,
  names: ReadonlySet<string> = plainNames,
): OperationSettings {
  checkOptions('options', options, names);
  checkFunction('onProgress', options.onProgress);
  return {
    signal: checkSignal('signal', options.signal),
    deadlineMs: checkDuration('deadlineMs', options.deadlineMs ?? deadlineMsOfNet, true),
    onProgress: options.onProgress,
  };
}

/** @param replicas of the data */
/** 0: none. */
export function checkToken(token: unknown): number {
  return token === undefined ? 0 : checkInteger('token', token, 1, Number.MAX_SAFE_INTEGER);
}

export function checkConfirm(confirm: unknown, replicas: number): number {
  return confirm === undefined ? replicas : checkInteger('confirm', confirm, 1, replicas);
}

export interface RebalanceSettings {
  readonly operation: OperationSettings;
  /** Infinity: no limit. */
  readonly bytesPerSecond: number;
  readonly onProgress: (progress: RebalanceProgress) => void;
}

export function checkRebalanceOptions(
  options: RebalanceOptions,
  deadlineMsOfNet: number,
): RebalanceSettings {
  checkOptions('options', options, rebalanceNames);
  const { signal, deadlineMs, bytesPerSecond, onProgress } = options;
  checkFunction('onProgress', onProgress);
  return {
    operation: {
      signal: checkSignal('signal', signal),
      deadlineMs: checkDuration('deadlineMs', deadlineMs ?? deadlineMsOfNet, true),
      onProgress: undefined,
    },
    bytesPerSecond:
      bytesPerSecond === undefined ? Infinity : checkRate('bytesPerSecond', bytesPerSecond),
    onProgress: onProgress ?? (() => {}),
  };
}

export interface MapReduceSettings {
  readonly operation: OperationSettings;
  readonly map: string;
  readonly reduce: string;
  readonly combine: string | undefined;
  readonly partitions: number | undefined;
  readonly memoryBytes: number;
  readonly onProgress: ((progress: MapReduceProgress) => void) | undefined;
}

export function checkMapReduceOptions(
  options: MapReduceOptions,
  deadlineMsOfNet: number,
): MapReduceSettings {
  checkOptions('options', options, mapReduceNames);
  const { signal, deadlineMs, combine, partitions, memoryBytes, onProgress } = options;
  checkFunction('onProgress', onProgress);
  return {
    operation: {
      signal: checkSignal('signal', signal),
      deadlineMs: checkDuration('deadlineMs', deadlineMs ?? deadlineMsOfNet, true),
      onProgress: undefined,
    },
    map: checkString('map', options.map, handlerNameBytesMax),
    reduce: checkString('reduce', options.reduce, handlerNameBytesMax),
    combine:
      combine === undefined ? undefined : checkString('combine', combine, handlerNameBytesMax),
    partitions:
      partitions === undefined
        ? undefined
        : checkInteger('partitions', partitions, 1, partitionsMax),
    memoryBytes: checkInteger(
      'memoryBytes',
      memoryBytes ?? memoryBytesDefault,
      memoryBytesMin,
      memoryBytesMax,
    ),
    onProgress,
  };
}

export interface ProcessSettings {
  readonly operation: OperationSettings;
  readonly keep: boolean;
  readonly strategy: BalancingStrategy;
  readonly concurrency: number | undefined;
  readonly retries: number;
  readonly backups: boolean;
}

export const retriesMax = 100;

export function checkProcessOptions(
  options: ProcessOptions,
  deadlineMsOfNet: number,
): ProcessSettings {
  const operation = checkOperationOptions(options, deadlineMsOfNet, processNames);
  const {
    keep = true,
    strategy = 'leastInFlight',
    concurrency,
    retries = 0,
    backups = true,
  } = options;
  return {
    operation,
    keep: checkBoolean('keep', keep),
    strategy: checkStrategy(strategy),
    concurrency:
      concurrency === undefined
        ? undefined
        : checkInteger('concurrency', concurrency, 1, concurrencyMax),
    retries: checkInteger('retries', retries, 0, retriesMax),
    backups: checkBoolean('backups', backups),
  };
}

export function checkStrategy(strategy: unknown): BalancingStrategy {
  return checkOneOf('strategy', strategy, balancingStrategies);
}

export function checkHandlerName(handler: unknown): string {
  return checkString('handler', handler, handlerNameBytesMax);
}

export function checkWeight(weight: unknown): number {
  if (typeof weight === 'number' && weight > 0 && Number.isFinite(weight)) return weight;
  throw invalidArgument('weight', 'a finite number above 0', weight);
}
