import { availableParallelism } from 'node:os';
import type { Env } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import { memberListMethod, memberWatchMethod } from '../cluster/membership/member-list.js';
import { exchangeMethod, type Membership } from '../cluster/membership/membership.js';
import type { RelayService } from '../cluster/relay/relay-service.js';
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
import { acceptorMethod } from '../coordination/quorum/messages.js';
import type { QuorumCoordinator } from '../coordination/quorum/quorum-coordinator.js';
import { CoordinatorService } from '../coordination/serve-coordinator.js';
import { JobLimits } from '../processing/job-limits.js';
import { MapReduceService } from '../processing/map-reduce/serve-map-reduce.js';
import { mergeMethod, processMethod } from '../processing/messages.js';
import { messageMethod } from '../processing/messaging/message.js';
import { serveMessage } from '../processing/messaging/serve-message.js';
import { serveMerge, serveProcess } from '../processing/serve-processing.js';
import type { WorkerPool } from '../processing/worker-pool.js';
import type { IncomingRequest, Peer, PeerService, PeerStream } from '../session/types.js';
import type { ShardStore } from '../store/store.js';
import type { RecordStore } from '../transactions/record-store.js';
import { serveRecords, servesRecords } from '../transactions/serve-records.js';
import { LoadMeter } from './load-meter.js';
import { encodeNodeInfo, infoMethod } from './node-info.js';
import type { NodeStore } from './node-store.js';
import type { Engine } from './select-network.js';

export interface NodeParts {
  readonly env: Env;
  readonly engine: Engine;
  readonly store: NodeStore;
  readonly pool: WorkerPool;
  readonly relay: RelayService;
  /** Of the node in its net. Fails: PAIPAI_ERR_INVALID_STATE when it is no member, PAIPAI_ERR_CLOSED. */
  readonly membership: () => Promise<Membership>;
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

/** Answers whoever is connected to a node: by method, to that part of the node which has it. */
export class NodeService implements PeerService {
  readonly meter: LoadMeter;
  readonly #parts: NodeParts;
  readonly #mapReduce: MapReduceService;
  readonly #clients = new Map<Peer, Client>();
  /** Known before the node listens; undefined where it serves none, and where nobody else sees what lies here. */
  coordination: CoordinatorService | undefined;
  fences: MapFences | undefined;
  records: RecordStore | undefined;
  /** That this node is a member of. */
  #quorum: QuorumCoordinator | undefined;

  constructor(parts: NodeParts) {
    const { env, pool } = parts;
    this.#parts = parts;
    this.#mapReduce = new MapReduceService(pool);
    this.meter = new LoadMeter({
      clock: env.clock,
      timers: env.timers,
      cpuMs() {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1_000;
      },
      cpuCount: availableParallelism(),
      storedBytes: () => this.#stores().reduce((sum, one) => sum + one.usage().bytes, 0),
    });
  }

  /** Takes over a member of a quorum, before the node listens. */
  joinQuorum(quorum: QuorumCoordinator): void {
    this.#quorum = quorum;
    this.coordination = new CoordinatorService(quorum);
  }

  onRequest(request: IncomingRequest): Uint8Array | Promise<Uint8Array> {
    const { peer, method, payload } = request;
    const { pool, relay, membership } = this.#parts;
    const { fences, coordination, records } = this;
    switch (method) {
      case dropMethod:
        return serveDrop(payload, this.#clientOf(peer).store, fences);
      case listMethod:
        return serveList(payload, this.#clientOf(peer).store, fences);
      case messageMethod:
        return serveMessage(request, pool);
      case dataListMethod:
        return serveDataList(payload, this.#clientOf(peer).store);
      case exchangeMethod:
        return membership().then((member) => member.answerExchange(payload));
      case memberListMethod:
        return membership().then((member) => member.answerList());
      case memberWatchMethod:
        return membership().then((member) => member.answerWatch(payload, request.signal));
      case infoMethod:
        return this.#info();
      case acceptorMethod:
        if (this.#quorum === undefined) throw methodUnknown(method);
        return this.#quorum.answer(payload);
      default:
        if (relay.serves(method)) return relay.onRequest(request);
        if (coordination?.serves(method)) return coordination.onRequest(request);
        if (records !== undefined && servesRecords(method)) return serveRecords(request, records);
        if (!this.#mapReduce.serves(method)) throw methodUnknown(method);
        return this.meter.during(() =>
          this.#mapReduce.onRequest(request, this.#clientOf(peer).store),
        );
    }
  }

  onStream(stream: PeerStream): Promise<void> {
    const { relay } = this.#parts;
    return relay.servesStream(stream.method)
      ? relay.onStream(stream)
      : this.meter.during(() => this.#serveStream(stream));
  }

  onClose(peer: Peer): void {
    this.#mapReduce.onClose(peer);
    this.#parts.relay.onClose(peer);
    const client = this.#clients.get(peer);
    this.#clients.delete(peer);
    // A store in memory closes at once.
    if (client !== undefined && client.store !== this.#parts.store.store) void client.store.close();
  }

  /** Ends the jobs that are under way, when no session is left. */
  async close(): Promise<void> {
    await this.#mapReduce.close();
  }

  #serveStream(stream: PeerStream): Promise<void> {
    const { env, engine, pool } = this.#parts;
    const { fences, coordination } = this;
    const { store, incoming, limits } = this.#clientOf(stream.peer);
    const processing = { env, store, pool, limits, fences };
    if (coordination?.servesStream(stream.method)) return coordination.onStream(stream);
    switch (stream.method) {
      case putMethod:
        return servePut(stream, store, incoming, engine, fences);
      case getMethod:
        return serveGet(stream, store);
      case processMethod:
        return serveProcess(stream, processing);
      case mergeMethod:
        return serveMerge(stream, processing);
      default:
        if (this.#mapReduce.servesStream(stream.method)) return this.#mapReduce.onStream(stream);
        throw methodUnknown(stream.method);
    }
  }

  #clientOf(peer: Peer): Client {
    let client = this.#clients.get(peer);
    if (client === undefined) {
      client = {
        store: this.#parts.store.forClient(),
        incoming: new ByteWindow(incomingBytesMax, Infinity),
        limits: new JobLimits(),
      };
      this.#clients.set(peer, client);
    }
    return client;
  }

  #stores(): ShardStore[] {
    const ofClients = Array.from(this.#clients.values(), ({ store }) => store);
    return [...new Set([this.#parts.store.store, ...ofClients])];
  }

  #info(): Uint8Array {
    const { engine, pool, store } = this.#parts;
    const usages = this.#stores().map((one) => one.usage());
    return encodeNodeInfo({
      pid: process.pid,
      nodeVersion: process.version,
      engine: engine.name,
      engineReason: engine.reason,
      shards: usages.reduce((sum, { shards }) => sum + shards, 0),
      bytes: usages.reduce((sum, { bytes }) => sum + bytes, 0),
      workers: pool.size,
      isDurable: store.store.isDurable,
      coordinates: this.coordination !== undefined && this.#quorum === undefined,
    });
  }
}

function methodUnknown(method: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_METHOD_UNKNOWN', `a node serves no method ${method}`, {
    method,
  });
}
