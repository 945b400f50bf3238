import { availableParallelism } from 'node:os';
import type { Env } from '../base/env.js';
import { isPaipaiError, PaipaiError, toError } from '../base/errors.js';
import { pause } from '../base/pause.js';
import type { HubLine } from '../cluster/relay/hub-line.js';
import { nodeError } from '../cluster/transfer/node-error.js';
import { linkNode, type NodeLink } from '../cluster/transfer/node-link.js';
import { connectPeer } from '../session/connect.js';
import type { HeartbeatOptions, Peer, SessionOptions } from '../session/types.js';
import type { StoreChoice } from '../store/open-store.js';
import type { ChannelPath, EngineName } from '../transport/frame-channel.js';
import { nodeHeartbeat } from './heartbeat.js';
import { type EmbeddedNode, launchNode, type RunAs } from './launch.js';
import { decodeNodeInfo, infoMethod, type NodeInfo } from './node-info.js';
import { storeBytesDefault } from './node-store.js';
import type { Engine, EngineChoice } from './select-network.js';
import { SocketFolder } from './socket-folder.js';

/** A node that a net wants: at an address, or embedded. */
export type RosterEntry =
  | { readonly nodeId: string; readonly address: string }
  | {
      readonly nodeId: string;
      readonly address?: undefined;
      readonly runAs: RunAs;
      readonly store?: StoreChoice | undefined;
      /** Whether it serves the coordinator of the net. */
      readonly coordinator?: boolean;
    };

export interface RosterOptions {
  readonly env: Env;
  readonly engine: Engine;
  /** What embedded nodes are told; they decide for themselves what it means. */
  readonly engineChoice: EngineChoice;
  /** What this side calls itself. */
  readonly clientId: string;
  readonly netName: string;
  /** For remote nodes. */
  readonly secret: string | Uint8Array | undefined;
  /** URL of the module for embedded nodes. */
  readonly handlers: string | undefined;
  /** How remote nodes are reached, by their ids; undefined: at their addresses. The roster closes it. */
  readonly hub?: HubLine | undefined;
  /** Default `nodeHeartbeat`. */
  readonly heartbeat?: HeartbeatOptions;
  /** A session ended that nobody here closed. */
  readonly onLost: (nodeId: string, error: PaipaiError) => void;
}

/** A remote node that was reached while the net runs: it was lost, or is new. It takes no part yet. */
export interface Arriving {
  readonly link: NodeLink;
  /** From now on it is among the living, unless it went away again meanwhile; false then. */
  admit(): boolean;
}

interface Member {
  readonly link: NodeLink;
  readonly embedded: EmbeddedNode | undefined;
  readonly address: string | undefined;
  readonly info: NodeInfo;
}

export interface MemberInfo {
  readonly id: string;
  readonly pid: number;
  /** Of a remote node. */
  readonly address?: string;
  readonly engine: EngineName;
  readonly path: ChannelPath;
  /** Whether what it stores outlives this net: it has a store on disk. */
  readonly isDurable: boolean;
}

/** Of ids of nodes that are not in this net; nobody types it. */
const strangerStart = '\u0000';

/** Time for what is said last to a remote node. */
const goodbyeMs = 1_000;

/** The nodes of a net: the embedded ones running, all of them connected. */
export class Roster {
  readonly #members = new Map<string, Member>();
  /** Reached, and not admitted yet. */
  readonly #arriving = new Set<Member>();
  readonly #options: RosterOptions;
  /** How many there were at the start. */
  readonly #nodeCount: number;
  readonly #embeddedCount: number;
  /** Sessions that are being ended. */
  readonly #endings = new Set<Promise<void>>();
  #isClosed = false;

  private constructor(entries: readonly RosterEntry[], options: RosterOptions) {
    this.#options = options;
    this.#nodeCount = entries.length;
    this.#embeddedCount = entries.filter(({ address }) => address === undefined).length;
  }

  /**
   * Starts what is embedded, connects to everything. When one node fails, the others are ended before this rejects.
   * Fails: PAIPAI_ERR_NODE_START for a node that does not start or cannot be reached, else the code that says why (_NET_NAME,
   * _SECRET, _FRAME_MAGIC, _VERSION_MISMATCH, _HANDSHAKE_TIMEOUT, _DUPLICATE_ID, _HANDLER_MODULE …), with `nodeId`.
   */
  static async start(entries: readonly RosterEntry[], options: RosterOptions): Promise<Roster> {
    const roster = new Roster(entries, options);
    const folder = roster.#embeddedCount === 0 ? undefined : await SocketFolder.make();
    try {
      const starts = entries.map((entry) => roster.#add(entry, folder));
      const settled = await Promise.allSettled(starts);
      const failures: Error[] = [];
      for (const start of settled) {
        if (start.status === 'rejected') failures.push(toError(start.reason));
        else {
          const twin = roster.#twinOf(start.value);
          if (twin !== undefined) failures.push(twin);
          roster.#admit(start.value);
        }
      }
      if (failures.length > 0) throw startFailure(failures);
    } catch (thrown) {
      await roster.close();
      throw thrown;
    } finally {
      // A session outlives the name of its socket, so whatever ends this process later leaves no file behind.
      await folder?.remove();
    }
    return roster;
  }

  /** @throws PaipaiError PAIPAI_ERR_NODE_LOST. */
  link(nodeId: string): NodeLink {
    const member = this.#members.get(nodeId);
    if (member?.link.peer.state === 'open') return member.link;
    throw new PaipaiError('PAIPAI_ERR_NODE_LOST', `node ${nodeId} is gone`, { nodeId });
  }

  isLiving(nodeId: string): boolean {
    return this.#members.get(nodeId)?.link.peer.state === 'open';
  }

  living(): NodeLink[] {
    return [...this.#members.values()]
      .map(({ link }) => link)
      .filter(({ peer }) => peer.state === 'open');
  }

  /** How many handlers run at once there; 1 of one that is not known. */
  workersOf(nodeId: string): number {
    return this.#members.get(nodeId)?.info.workers ?? 1;
  }

  /** Whether what the node stores outlives the session. */
  isDurable(nodeId: string): boolean {
    return this.#members.get(nodeId)?.info.isDurable === true;
  }

  /** Whether the node serves the coordinator of the net, as it has said when it was connected to. */
  coordinates(nodeId: string): boolean {
    return this.#members.get(nodeId)?.info.coordinates === true;
  }

  /** Whether others see what this client stores there: on disk, and not on an embedded node; undefined of a node that was never there. */
  isShared(nodeId: string): boolean | undefined {
    const member = this.#members.get(nodeId);
    return member && member.address !== undefined && member.info.isDurable;
  }

  /** What the node calls itself, by which other clients know it too. */
  nameOf(nodeId: string): string {
    const name = this.#members.get(nodeId)?.link.peer.remoteNodeId;
    return name ?? (nodeId.startsWith(strangerStart) ? nodeId.slice(strangerStart.length) : nodeId);
  }

  /** The id of the node that calls itself so; of one that is not known the same, or one that no node has when another bears that id here. */
  idOf(name: string): string {
    for (const [nodeId, { link }] of this.#members) {
      if (link.peer.remoteNodeId === name) return nodeId;
    }
    return this.#members.has(name) ? strangerStart + name : name;
  }

  /** Connects to a remote node, one that was lost or a new one. Fails as `start` does, and with PAIPAI_ERR_ABORTED, _CLOSED. */
  async reach(nodeId: string, address: string, signal: AbortSignal): Promise<Arriving> {
    const member = await this.#connect(nodeId, address, this.#options.secret, undefined, signal);
    const closed = new PaipaiError('PAIPAI_ERR_CLOSED', 'the net was closed');
    const refusal = this.#isClosed ? closed : this.#twinOf(member);
    if (refusal !== undefined) {
      member.link.peer.destroy();
      throw refusal;
    }
    this.#arriving.add(member);
    void member.link.peer.closed.then(() => this.#arriving.delete(member));
    return {
      link: member.link,
      admit: () => {
        if (!this.#arriving.delete(member)) return false;
        this.#admit(member);
        return true;
      },
    };
  }

  /** Ends the session with a node, and an embedded one with it; nobody hears of its loss. */
  async remove(nodeId: string): Promise<void> {
    const member = this.#members.get(nodeId);
    this.#members.delete(nodeId);
    if (member === undefined) return;
    const ending: Promise<void> = end(member).finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
    await ending;
  }

  pidOf(nodeId: string): number | undefined {
    return this.#members.get(nodeId)?.info.pid;
  }

  info(): MemberInfo[] {
    return [...this.#members.values()].map(({ link, address, info }) => ({
      id: link.nodeId,
      pid: info.pid,
      ...(address === undefined ? {} : { address }),
      engine: info.engine,
      path: link.peer.path,
      isDurable: info.isDurable,
    }));
  }

  /** Ends the sessions and whatever was started. Settles when nothing of it is left; idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const { env, hub } = this.#options;
    const sessions = [...this.#members.values(), ...this.#arriving].map(end);
    const ended = Promise.all([...sessions, ...this.#endings]);
    if (hub !== undefined) {
      // What a session has sent through a hub that stands still is let go of with the connection only.
      const over = new AbortController();
      await Promise.race([ended, pause(env.timers, goodbyeMs, over.signal)]);
      over.abort();
      await hub.close();
    }
    await ended;
  }

  async #add(entry: RosterEntry, folder: SocketFolder | undefined): Promise<Member> {
    const { nodeId } = entry;
    const { env, engineChoice, netName, handlers } = this.#options;
    if (entry.address !== undefined || folder === undefined) {
      return this.#connect(nodeId, entry.address ?? '', this.#options.secret, undefined);
    }
    const secret = env.random.bytes(32);
    const embedded = await launchNode(env, entry.runAs, {
      nodeId,
      listen: folder.nextAddress(),
      netName,
      secret,
      handlers,
      engine: engineChoice,
      store: entry.store,
      coordinator: entry.coordinator,
      isEmbedded: true,
      // The embedded nodes share this machine.
      workers: Math.max(1, Math.floor(availableParallelism() / this.#embeddedCount)),
      storeBytesMax: Math.floor(storeBytesDefault() / this.#embeddedCount),
    });
    try {
      return await this.#connect(nodeId, embedded.address, secret, embedded);
    } catch (thrown) {
      await embedded.stop();
      throw thrown;
    }
  }

  /** What is wrong with a remote node that is there already, under another id of this net: copies on both would be one. */
  #twinOf({ link: { nodeId, peer }, address }: Member): PaipaiError | undefined {
    if (address === undefined) return undefined;
    const { remoteNodeId } = peer;
    for (const { link: other, address: otherAddress } of this.#members.values()) {
      if (other.nodeId === nodeId || otherAddress === undefined) continue;
      if (other.peer.state !== 'open' || other.peer.remoteNodeId !== remoteNodeId) continue;
      return new PaipaiError(
        'PAIPAI_ERR_DUPLICATE_ID',
        `node ${nodeId} at ${address} is node ${other.nodeId} at ${otherAddress} again: both call themselves ${remoteNodeId}`,
        { nodeId, address },
      );
    }
    return undefined;
  }

  #admit(member: Member): void {
    const { nodeId, peer } = member.link;
    const before = this.#members.get(nodeId);
    this.#members.set(nodeId, member);
    before?.link.peer.destroy();
    void peer.closed.then((reason) => {
      if (this.#isClosed || this.#members.get(nodeId) !== member) return;
      const why = reason === null ? 'it closed the session' : reason.message;
      const error = new PaipaiError('PAIPAI_ERR_NODE_LOST', `node ${nodeId} went away: ${why}`, {
        nodeId,
        cause: reason ?? undefined,
      });
      this.#options.onLost(nodeId, error);
    });
  }

  async #connect(
    nodeId: string,
    address: string,
    secret: string | Uint8Array | undefined,
    embedded: EmbeddedNode | undefined,
    signal?: AbortSignal,
  ): Promise<Member> {
    const { env, engine, clientId, netName, heartbeat = nodeHeartbeat } = this.#options;
    const hub = embedded === undefined ? this.#options.hub : undefined;
    let peer: Peer;
    try {
      const options: SessionOptions = {
        nodeId: clientId,
        netName,
        heartbeat,
        ...(secret === undefined ? {} : { secret }),
        ...(signal === undefined ? {} : { signal }),
      };
      peer =
        hub === undefined
          ? await connectPeer({ ...env, network: engine.network }, address, options)
          : await hub.connect(nodeId, options);
    } catch (thrown) {
      throw unreachable(nodeId, address, thrown);
    }
    const nodeCount = Math.max(this.#nodeCount, this.#members.size + 1);
    const link = linkNode(nodeId, peer, nodeCount);
    const onAbort = (): void => peer.destroy();
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    let info: NodeInfo;
    try {
      info = decodeNodeInfo(await peer.request(infoMethod));
    } catch (thrown) {
      peer.destroy();
      throw nodeError(link, thrown);
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
    return { link, embedded, address: embedded === undefined ? address : undefined, info };
  }
}

/** An embedded node ends with its session; a remote one goes on, so it gets a goodbye. */
async function end({ link, embedded }: Member): Promise<void> {
  if (embedded === undefined) await link.peer.close(goodbyeMs);
  else link.peer.destroy();
  await embedded?.stop();
}

/** One failure as it is; of several the first, with all of them as its cause. */
function startFailure(failures: readonly Error[]): Error | undefined {
  const [first] = failures;
  if (failures.length === 1 || !isPaipaiError(first)) return first;
  const { code, message, nodeId, address, stderr } = first;
  return new PaipaiError(code, `${message} (and ${failures.length - 1} more)`, {
    cause: new AggregateError(failures),
    ...(nodeId === undefined ? {} : { nodeId }),
    ...(address === undefined ? {} : { address }),
    ...(stderr === undefined ? {} : { stderr }),
  });
}

function unreachable(nodeId: string, address: string, thrown: unknown): PaipaiError {
  const error = toError(thrown);
  const code = isPaipaiError(error) ? error.code : 'PAIPAI_ERR_NODE_START';
  return new PaipaiError(code, `node ${nodeId} at ${address} cannot be reached: ${error.message}`, {
    nodeId,
    address,
    cause: error,
  });
}
