import { EventEmitter } from 'node:events';
import { availableParallelism, totalmem } from 'node:os';
import { deferred } from '../base/deferred.js';
import { PaipaiError } from '../base/errors.js';
import {
  memberListMethod,
  memberWatchMethod,
  type NetMember,
} from '../cluster/membership/member-list.js';
import {
  exchangeMethod,
  type Membership,
  type MembershipEvents,
} from '../cluster/membership/membership.js';
import { randomInstanceId } from '../cluster/membership/swim.js';
import { Attachment } from '../cluster/relay/attachment.js';
import { RelayService } from '../cluster/relay/relay-service.js';
import { ByteWindow } from '../cluster/transfer/byte-window.js';
import { dataListMethod } from '../cluster/transfer/data-list.js';
import type { MapFences } from '../cluster/transfer/map-fences.js';
import { dropMethod, getMethod, listMethod, putMethod } from '../cluster/transfer/messages.js';
import {
  serveDataList,
  serveDrop,
  serveGet,
  serveList,
  servePut,
} from '../cluster/transfer/serve-shards.js';
import type { CoordinatorService } from '../coordination/serve-coordinator.js';
import { JobLimits } from '../processing/job-limits.js';
import { MapReduceService } from '../processing/map-reduce/serve-map-reduce.js';
import { mergeMethod, processMethod } from '../processing/messages.js';
import { messageMethod } from '../processing/messaging/message.js';
import { serveMessage } from '../processing/messaging/serve-message.js';
import { serveMerge, serveProcess } from '../processing/serve-processing.js';
import { WorkerPool } from '../processing/worker-pool.js';
import { listenPeers } from '../session/listen.js';
import { netNameDefault } from '../session/settings.js';
import type {
  HeartbeatOptions,
  IncomingRequest,
  Peer,
  PeerListener,
  PeerService,
  PeerStream,
  SessionOptions,
} from '../session/types.js';
import { MemoryStore } from '../store/memory-store.js';
import { openDurableStore, type StoreChoice } from '../store/open-store.js';
import type { ShardStore } from '../store/store.js';
import { parseAddress } from '../transport/address.js';
import type { EngineName } from '../transport/frame-channel.js';
import { LoadMeter } from './load-meter.js';
import { checkSole, openCoordination, openFences } from './node-coordination.js';
import { encodeNodeInfo, infoMethod } from './node-info.js';
import {
  checkHubs,
  checkMembership,
  type MembershipConfig,
  openMembership,
} from './node-membership.js';
import { createRealEnv } from './real-env.js';
import { type Engine, type EngineChoice, selectEngine } from './select-network.js';
import { UdpNetwork } from './udp-network.js';

/** A node that listens on TCP is a member of a net: of one that it joins, or of its own. */
export interface NodeConfig extends MembershipConfig {
  readonly nodeId: string;
  /** Where it listens, as `tcp://…` or `unix://…`. */
  readonly listen: string;
  readonly netName?: string | undefined;
  readonly secret?: Uint8Array | string | undefined;
  /** URL of the module of handlers; without one only the built-in handlers are there. */
  readonly handlers?: string | undefined;
  /** Default 'auto'. */
  readonly engine?: EngineChoice | undefined;
  /** Most worker threads for handlers. Default: one for each CPU that this process may use. */
  readonly workers?: number | undefined;
  /** Default 'memory'. */
  readonly store?: StoreChoice | undefined;
  /** Whether it serves the coordinator of the net, which outlives its process when its store does. Default false. */
  readonly coordinator?: boolean | undefined;
  /** Whether it is one client's alone, and ends with it. Default false. */
  readonly isEmbedded?: boolean | undefined;
  /**
   * Memory for shards: all of them in a store in memory, those on their way to and from the disk in another. Default: half of what this
   * machine, or the container around it, has.
   */
  readonly storeBytesMax?: number | undefined;
  /** For clients that vanish without a word. Default none: an embedded node ends with its starter anyway. */
  readonly heartbeat?: HeartbeatOptions | undefined;
}

/** A node at work: it takes shards in, keeps them, and has handlers process them. */
export interface RunningNode {
  readonly nodeId: string;
  /** With the port that the system chose. */
  readonly address: string;
  readonly engine: EngineName;
  readonly engineReason: string;
  /** Of the net that it belongs to; silent for a node that is no member, as on a Unix socket. */
  readonly events: EventEmitter<MembershipEvents>;
  /** Why none of the nodes that it should join has answered yet; it goes on asking. Null when one has. */
  readonly joinProblem: PaipaiError | null;
  /** Settles when it is closed: with null by `close`, else with the reason. It never rejects. PAIPAI_ERR_DUPLICATE_ID, or as `startNode`. */
  readonly closed: Promise<PaipaiError | null>;
  /** This node first, then who it knows of the net, the dead included; none for a node that is no member. A snapshot. */
  members(): NetMember[];
  /** Says goodbye to the net, for about a second when there is somebody else in it; stops listening, ends every session and every worker. Idempotent. */
  close(): Promise<void>;
}

/** What one client has here, as long as its session lasts. */
interface Client {
  /**
   * In memory a store of its own: others neither see nor disturb it, and it is gone with the session. What is on disk outlives every session,
   * so it belongs to the net, and whoever is in it sees it.
   */
  readonly store: ShardStore;
  /** Room of its shards that have not come whole. */
  readonly incoming: ByteWindow;
  /** How much of each of its jobs is worked on at once. */
  readonly limits: JobLimits;
}

/** As much as the session lets come in at once. */
const incomingBytesMax = 64 * 1024 * 1024;

export function storeBytesDefault(): number {
  // 0 or a number beyond the machine's own where nothing constrains the process.
  const constrained = process.constrainedMemory();
  const memoryBytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(memoryBytes / 2);
}

/** The store of a node, and what of it each client gets. */
interface NodeStore {
  readonly store: ShardStore;
  forClient(): ShardStore;
}

async function openStore(config: NodeConfig, engine: Engine): Promise<NodeStore> {
  const memoryBytes = config.storeBytesMax ?? storeBytesDefault();
  const onSlab = engine.adviseShardMemory;
  const choice = config.store ?? 'memory';
  if (choice === 'memory') {
    const store = new MemoryStore({ sizeLimitBytes: memoryBytes, onSlab });
    return { store, forClient: () => store.part() };
  }
  const { crc32c } = engine;
  const store = await openDurableStore(choice, { memoryLimitBytes: memoryBytes, onSlab, crc32c });
  return { store, forClient: () => store };
}

/**
 * Opens the store and loads the handlers, then listens: a node that answers is a node that works. Then it joins its net: when nobody can be
 * reached there it works on, and goes on trying (`joinProblem`).
 * @throws PaipaiError PAIPAI_ERR_HANDLER_MODULE, _INVALID_ADDRESS, _INSECURE_ADDRESS, _ENGINE_UNAVAILABLE, _STORE_FAILED, _STORE_IN_USE,
 * _STORE_FORMAT, _STORE_FULL; a system error when the address cannot be listened on. When it cannot be a member: PAIPAI_ERR_DUPLICATE_ID,
 * _COORDINATOR_AMBIGUOUS, or what the net refuses it with: _NET_NAME, _SECRET, _VERSION_MISMATCH, _FRAME_MAGIC, _METHOD_UNKNOWN, _INVALID_STATE, _PROTOCOL.
 */
export async function startNode(config: NodeConfig): Promise<RunningNode> {
  const { nodeId, netName, secret } = config;
  const choice = checkMembership(config.listen, config);
  const hubs = checkHubs(config);
  const env = createRealEnv();
  const engine = selectEngine(config.engine ?? 'auto');
  const { store, forClient } = await openStore(config, engine);
  const pool = new WorkerPool({
    env,
    entry: new URL('./worker-entry.cjs', import.meta.url),
    workerData: { handlers: config.handlers, engine: engine.name },
    size: config.workers ?? availableParallelism(),
  });
  const mapReduce = new MapReduceService(pool);
  const clients = new Map<Peer, Client>();
  const clientOf = (peer: Peer): Client => {
    let client = clients.get(peer);
    if (client === undefined) {
      client = {
        store: forClient(),
        incoming: new ByteWindow(incomingBytesMax, Infinity),
        limits: new JobLimits(),
      };
      clients.set(peer, client);
    }
    return client;
  };

  // Of no use before the port is known, and with it the first requests may come.
  const opening = deferred<Membership | null>();
  opening.promise.catch(() => {}); // For who asks; the start fails by itself.
  const membershipFor = async (): Promise<Membership> => {
    const opened = await opening.promise;
    if (opened === null) throw noMember(nodeId, config.listen);
    return opened;
  };

  const networkEnv = { ...env, network: engine.network };
  const session: SessionOptions = {
    nodeId,
    heartbeat: config.heartbeat ?? false,
    ...(netName === undefined ? {} : { netName }),
    ...(secret === undefined ? {} : { secret }),
  };
  const relay = new RelayService({
    env: networkEnv,
    session,
    members: async () => (await membershipFor()).joinedMembers(),
    // Whoever asks for it came by the listener.
    listener: () => listener as PeerListener,
  });
  const meter = new LoadMeter({
    clock: env.clock,
    timers: env.timers,
    cpuMs() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000;
    },
    cpuCount: availableParallelism(),
    storedBytes: () => storesOf().reduce((sum, one) => sum + one.usage().bytes, 0),
  });
  const storesOf = (): ShardStore[] => [
    ...new Set([store, ...Array.from(clients.values(), (client) => client.store)]),
  ];

  const serveStream = (stream: PeerStream): Promise<void> => {
    const client = clientOf(stream.peer);
    const processing = { env, store: client.store, pool, limits: client.limits, fences };
    if (coordination?.servesStream(stream.method)) return coordination.onStream(stream);
    switch (stream.method) {
      case putMethod:
        return servePut(stream, client.store, client.incoming, engine, fences);
      case getMethod:
        return serveGet(stream, client.store);
      case processMethod:
        return serveProcess(stream, processing);
      case mergeMethod:
        return serveMerge(stream, processing);
      default:
        if (mapReduce.servesStream(stream.method)) return mapReduce.onStream(stream);
        throw methodUnknown(stream.method);
    }
  };

  const service: PeerService = {
    onRequest(request: IncomingRequest): Uint8Array | Promise<Uint8Array> {
      const { peer, method, payload } = request;
      switch (method) {
        case dropMethod:
          return serveDrop(payload, clientOf(peer).store, fences);
        case listMethod:
          return serveList(payload, clientOf(peer).store, fences);
        case messageMethod:
          return serveMessage(request, pool);
        case dataListMethod:
          return serveDataList(payload, clientOf(peer).store);
        case exchangeMethod:
          return membershipFor().then((membership) => membership.answerExchange(payload));
        case memberListMethod:
          return membershipFor().then((membership) => membership.answerList());
        case memberWatchMethod:
          return membershipFor().then((membership) =>
            membership.answerWatch(payload, request.signal),
          );
        case infoMethod: {
          const usages = storesOf().map((one) => one.usage());
          return encodeNodeInfo({
            pid: process.pid,
            nodeVersion: process.version,
            engine: engine.name,
            engineReason: engine.reason,
            shards: usages.reduce((sum, { shards }) => sum + shards, 0),
            bytes: usages.reduce((sum, { bytes }) => sum + bytes, 0),
            workers: pool.size,
            isDurable: store.isDurable,
            coordinates: coordination !== undefined,
          });
        }
        default:
          if (relay.serves(method)) return relay.onRequest(request);
          if (coordination?.serves(method)) return coordination.onRequest(request);
          if (!mapReduce.serves(method)) throw methodUnknown(method);
          return meter.during(() => mapReduce.onRequest(request, clientOf(peer).store));
      }
    },
    onStream: (stream: PeerStream) =>
      relay.servesStream(stream.method)
        ? relay.onStream(stream)
        : meter.during(() => serveStream(stream)),
    onClose(peer: Peer): void {
      mapReduce.onClose(peer);
      relay.onClose(peer);
      const client = clients.get(peer);
      clients.delete(peer);
      // A store in memory closes at once.
      if (client !== undefined && client.store !== store) void client.store.close();
    },
  };
  let listener: PeerListener | undefined;
  let coordination: CoordinatorService | undefined;
  let fences: MapFences | undefined;
  let membership: Membership | null = null;
  let attachments: readonly Attachment[] = [];
  let closing: Promise<void> | undefined;
  const closed = deferred<PaipaiError | null>();
  const end = async (): Promise<void> => {
    meter.stop();
    opening.reject(new PaipaiError('PAIPAI_ERR_CLOSED', `node ${nodeId} is being closed`));
    await Promise.all([...attachments.map((one) => one.close()), membership?.close()]);
    // What is under way fails first, so that nobody waits for it.
    await Promise.all([pool.close(), coordination?.close()]);
    try {
      await listener?.close(0);
      await relay.close();
      await mapReduce.close();
      await fences?.close();
    } finally {
      await store.close();
    }
  };
  const close = (reason: PaipaiError | null = null): Promise<void> => {
    closing ??= end().finally(() => closed.resolve(reason));
    return closing;
  };
  try {
    fences = await openFences(config.store);
    if (config.coordinator === true) {
      coordination = await openCoordination(env, config.store, config.isEmbedded);
    }
    if (config.handlers !== undefined) await pool.handlers();
    listener = await listenPeers(networkEnv, config.listen, { ...session, service });
    const listening = parseAddress(listener.address);
    if (choice !== null && listening.scheme === 'tcp') {
      const datagramEnv = { ...networkEnv, datagrams: new UdpNetwork() };
      membership = await openMembership(datagramEnv, listening, choice, {
        nodeId,
        netName: netName ?? netNameDefault,
        secret,
        coordinates: coordination !== undefined,
        // Who closes it as well hears of what goes wrong.
        onFailed: (error) => void close(error).catch(() => {}),
      });
    }
    opening.resolve(membership);
    await membership?.start();
    if (coordination !== undefined) checkSole(membership?.members() ?? []);
    const self = {
      weight: config.weight ?? 1,
      instanceId: randomInstanceId(env.random),
      coordinates: coordination !== undefined,
    };
    attachments = hubs.map((hub) => new Attachment(networkEnv, hub, { ...session, service }, self));
    await Promise.all(attachments.map((one) => one.start()));
    meter.start((load) => membership?.tellLoad(load));
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return {
    nodeId,
    address: listener.address,
    engine: engine.name,
    engineReason: engine.reason,
    events: membership?.events ?? new EventEmitter(),
    get joinProblem() {
      const { problem = null } = attachments.find((one) => one.problem !== null) ?? {};
      return membership?.joinProblem ?? problem;
    },
    closed: closed.promise,
    members: () => membership?.members() ?? [],
    close: () => close(),
  };
}

function noMember(nodeId: string, listen: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_STATE',
    `node ${nodeId} is no member of a net: it listens on ${listen} and says no address at which others reach it (advertise)`,
    { nodeId },
  );
}

function methodUnknown(method: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_METHOD_UNKNOWN', `a node serves no method ${method}`, {
    method,
  });
}
