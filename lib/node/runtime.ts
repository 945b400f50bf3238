import { EventEmitter } from 'node:events';
import { availableParallelism } from 'node:os';
import { deferred } from '../base/deferred.js';
import { PaipaiError } from '../base/errors.js';
import type { NetMember } from '../cluster/membership/member-list.js';
import type { Membership, MembershipEvents } from '../cluster/membership/membership.js';
import { randomInstanceId } from '../cluster/membership/swim.js';
import { Attachment } from '../cluster/relay/attachment.js';
import { RelayService } from '../cluster/relay/relay-service.js';
import { WorkerPool } from '../processing/worker-pool.js';
import { listenPeers } from '../session/listen.js';
import { netNameDefault } from '../session/settings.js';
import type { HeartbeatOptions, PeerListener, SessionOptions } from '../session/types.js';
import type { StoreChoice } from '../store/open-store.js';
import { parseAddress } from '../transport/address.js';
import type { EngineName } from '../transport/frame-channel.js';
import {
  checkSole,
  openCoordination,
  openFences,
  openQuorum,
  openRecords,
} from './node-coordination.js';
import {
  checkHubs,
  checkMembership,
  type MembershipConfig,
  openMembership,
} from './node-membership.js';
import { NodeService } from './node-service.js';
import { openStore } from './node-store.js';
import { QuorumPeers } from './quorum-peers.js';
import { createRealEnv } from './real-env.js';
import { type EngineChoice, selectEngine } from './select-network.js';
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
  /** Ids of the nodes that coordinate the net together, this one included: 3, 5 or 7. It needs a store on disk. Default: it is none of them. */
  readonly quorum?: readonly string[] | undefined;
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
  const store = await openStore(engine, config.store, config.storeBytesMax);
  const pool = new WorkerPool({
    env,
    entry: new URL('./worker-entry.cjs', import.meta.url),
    workerData: { handlers: config.handlers, engine: engine.name },
    size: config.workers ?? availableParallelism(),
  });

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
  const quorumPeers = new QuorumPeers({
    env: networkEnv,
    session,
    addressOf: async (id) => {
      const members = (await membershipFor()).members();
      const address = members.find((one) => one.nodeId === id)?.address;
      return address === '' ? undefined : address;
    },
  });
  const service = new NodeService({ env, engine, store, pool, relay, membership: membershipFor });
  let listener: PeerListener | undefined;
  let membership: Membership | null = null;
  let attachments: readonly Attachment[] = [];
  let closing: Promise<void> | undefined;
  const closed = deferred<PaipaiError | null>();
  const end = async (): Promise<void> => {
    service.meter.stop();
    opening.reject(new PaipaiError('PAIPAI_ERR_CLOSED', `node ${nodeId} is being closed`));
    await Promise.all([...attachments.map((one) => one.close()), membership?.close()]);
    // What is under way fails first, so that nobody waits for it.
    await Promise.all([pool.close(), service.coordination?.close(), quorumPeers.close()]);
    try {
      await listener?.close(0);
      await relay.close();
      await service.close();
      await service.fences?.close();
      await service.records?.close();
    } finally {
      await store.store.close();
    }
  };
  const close = (reason: PaipaiError | null = null): Promise<void> => {
    closing ??= end().finally(() => closed.resolve(reason));
    return closing;
  };
  try {
    service.fences = await openFences(config.store);
    service.records = await openRecords(env, config.store);
    if (config.coordinator === true) {
      service.coordination = await openCoordination(env, config.store, config.isEmbedded);
    }
    const coordinates = service.coordination !== undefined;
    if (config.quorum !== undefined) {
      if (coordinates) throw twoWays();
      service.joinQuorum(
        await openQuorum(env, config.store, nodeId, config.quorum, (id, question, deadlineMs) =>
          quorumPeers.ask(id, question, deadlineMs),
        ),
      );
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
        coordinates,
        // Who closes it as well hears of what goes wrong.
        onFailed: (error) => void close(error).catch(() => {}),
      });
    }
    opening.resolve(membership);
    await membership?.start();
    if (coordinates) checkSole(membership?.members() ?? []);
    const self = {
      weight: config.weight ?? 1,
      instanceId: randomInstanceId(env.random),
      coordinates,
    };
    attachments = hubs.map((hub) => new Attachment(networkEnv, hub, { ...session, service }, self));
    await Promise.all(attachments.map((one) => one.start()));
    service.meter.start((load) => membership?.tellLoad(load));
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

function twoWays(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    'a node either coordinates alone or is a member of a quorum',
  );
}

function noMember(nodeId: string, listen: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_STATE',
    `node ${nodeId} is no member of a net: it listens on ${listen} and says no address at which others reach it (advertise)`,
    { nodeId },
  );
}
