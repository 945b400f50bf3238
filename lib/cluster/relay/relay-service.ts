import { isPaipaiError, PaipaiError, toError } from '../../base/errors.js';
import { connectPeer } from '../../session/connect.js';
import { passOn } from '../../session/relay/pass-on.js';
import { StreamNetwork } from '../../session/relay/stream-network.js';
import type {
  IncomingRequest,
  Peer,
  PeerListener,
  PeerStream,
  SessionOptions,
} from '../../session/types.js';
import type { NetworkEnv } from '../../transport/frame-channel.js';
import {
  encodeMemberList,
  isLivingMember,
  type NetMember,
  noLoad,
} from '../membership/member-list.js';
import {
  type AttachedNode,
  decodeRelayAttach,
  decodeRelayOpen,
  relayAcceptMethod,
  relayAttachMethod,
  relayListMethod,
  relayOpenMethod,
  relayProbeMethod,
} from './messages.js';

/** What a node gives for the sessions that pass through it, or come to it that way. */
export interface RelayHost {
  readonly env: NetworkEnv;
  /** Of sessions with other nodes: its own name, the net and its secret. */
  readonly session: SessionOptions;
  /** The net as this node knows it, itself included. Fails with PAIPAI_ERR_INVALID_STATE when it is no member. */
  members(): Promise<readonly NetMember[]>;
  /** Takes in sessions that came through another node. */
  listener(): PeerListener;
}

/** Each holds at most the windows of two streams, of 1 MiB, and as much on its way out. */
const relaysMax = 512;
/** Each is a session in a stream, which the listener does not count. */
const acceptedMax = 512;
const attachedMax = 1_024;
const connectMsMax = 3_000;
/** Below what a node that attaches waits for its answer. */
const probeMsMax = 2_000;

const noBytes = new Uint8Array(0);

/** A node that stays connected to this one, because this one cannot connect to it. */
interface Attached extends AttachedNode {
  readonly peer: Peer;
}

/** A node as a hub, which passes sessions on to other members of its net, and as who is reached through one. */
export class RelayService {
  readonly #host: RelayHost;
  readonly #network = new StreamNetwork();
  readonly #relays = new Set<Promise<void>>();
  /** Connections with members that were made for relays. */
  readonly #onward = new Set<Peer>();
  #acceptedCount = 0;
  /** By id. */
  readonly #attached = new Map<string, Attached>();

  constructor(host: RelayHost) {
    this.#host = host;
  }

  serves(method: string): boolean {
    return (
      method === relayListMethod || method === relayAttachMethod || method === relayProbeMethod
    );
  }

  servesStream(method: string): boolean {
    return method === relayOpenMethod || method === relayAcceptMethod;
  }

  async onRequest({ method, peer, payload }: IncomingRequest): Promise<Uint8Array> {
    if (method === relayProbeMethod) return noBytes;
    const members = await this.#members();
    if (method === relayListMethod) return encodeMemberList([...members, ...this.#others()]);
    await this.#attach(peer, decodeRelayAttach(payload), members);
    return noBytes;
  }

  async onStream(stream: PeerStream): Promise<void> {
    // A session in a session in a session would cost the nodes more than whoever asks for it.
    if (stream.peer.path === 'hub') throw noFurther();
    if (stream.method === relayAcceptMethod) return this.#accept(stream);
    if (this.#relays.size >= relaysMax) {
      throw overloaded(`${relaysMax} sessions pass through this node`);
    }
    const relay = this.#relay(stream);
    this.#relays.add(relay);
    return relay.finally(() => this.#relays.delete(relay));
  }

  onClose(peer: Peer): void {
    const { remoteNodeId } = peer;
    if (this.#attached.get(remoteNodeId)?.peer === peer) this.#attached.delete(remoteNodeId);
  }

  /** Settles when nothing passes through any more. The sessions of the listener have been ended before. */
  async close(): Promise<void> {
    for (const peer of this.#onward) peer.destroy();
    await Promise.allSettled(this.#relays);
  }

  async #accept(stream: PeerStream): Promise<void> {
    if (this.#acceptedCount >= acceptedMax) {
      throw overloaded(`${acceptedMax} sessions have come to this node through others`);
    }
    this.#acceptedCount++;
    try {
      await this.#network.accept(stream, this.#host.listener());
    } finally {
      this.#acceptedCount--;
    }
  }

  async #relay(near: PeerStream): Promise<void> {
    const nodeId = decodeRelayOpen(near.metadata);
    const members = await this.#members();
    const attached = this.#attached.get(nodeId);
    if (attached !== undefined) return this.#passOn(near, nodeId, attached.peer);
    const peer = await this.#connect(find(nodeId, members), near.signal);
    this.#onward.add(peer);
    try {
      await this.#passOn(near, nodeId, peer);
      await peer.close();
    } finally {
      this.#onward.delete(peer);
      peer.destroy();
    }
  }

  /** As of the host. A living one goes before a node of its id that is attached, which is told to go. */
  async #members(): Promise<readonly NetMember[]> {
    const members = await this.#host.members();
    for (const member of members) {
      const attached = this.#attached.get(member.nodeId);
      if (attached === undefined || !isLivingMember(member)) continue;
      this.#attached.delete(member.nodeId);
      void attached.peer.close(0); // It never fails.
    }
    return members;
  }

  async #passOn(near: PeerStream, nodeId: string, peer: Peer): Promise<void> {
    const far = peer.openStream(relayAcceptMethod);
    try {
      await passOn(near, far);
    } catch (thrown) {
      const error = near.signal.aborted ? toError(thrown) : lostBehind(nodeId, thrown);
      far.reset(error);
      throw error;
    }
  }

  async #attach(peer: Peer, node: AttachedNode, members: readonly NetMember[]): Promise<void> {
    const { remoteNodeId: nodeId, path } = peer;
    if (path === 'hub') throw noFurther();
    const isMember = members.some((one) => one.nodeId === nodeId && isLivingMember(one));
    if (isMember || !(await this.#makeWay(nodeId, peer))) {
      throw new PaipaiError(
        'PAIPAI_ERR_DUPLICATE_ID',
        `the net has a living node ${nodeId} already, which keeps the id: give this one another`,
        { nodeId },
      );
    }
    if (this.#attached.size >= attachedMax) {
      throw overloaded(`${attachedMax} nodes are attached`);
    }
    // It may have gone while others were asked.
    if (peer.state === 'open') this.#attached.set(nodeId, { ...node, peer });
  }

  /**
   * Whether no other node is attached by this id. One that lost its power or its network counts until its connection is given up, and may want to
   * come back before, so it has to answer.
   */
  async #makeWay(nodeId: string, peer: Peer): Promise<boolean> {
    const before = this.#attached.get(nodeId);
    if (before === undefined || before.peer === peer) return true;
    if (await isThere(before.peer)) return false;
    before.peer.destroy();
    if (this.#attached.get(nodeId) === before) this.#attached.delete(nodeId);
    return !this.#attached.has(nodeId); // Somebody else may have been faster.
  }

  /** Those that are no members, and are reached through this node alone. */
  #others(): NetMember[] {
    return Array.from(this.#attached, ([nodeId, { weight, instanceId, coordinates }]) => ({
      nodeId,
      state: 'alive',
      address: '',
      weight,
      instanceId,
      coordinates,
      load: noLoad,
    }));
  }

  async #connect({ nodeId, address }: NetMember, signal: AbortSignal): Promise<Peer> {
    let peer: Peer;
    try {
      peer = await connectPeer(this.#host.env, address, {
        ...this.#host.session,
        connectTimeoutMs: connectMsMax,
        handshakeTimeoutMs: connectMsMax,
        signal,
      });
    } catch (thrown) {
      const error = toError(thrown);
      throw new PaipaiError(
        isPaipaiError(error) ? error.code : 'PAIPAI_ERR_NODE_START',
        `the hub does not reach node ${nodeId} at ${address}: ${error.message}`,
        { nodeId, address, cause: error },
      );
    }
    if (peer.remoteNodeId === nodeId) return peer;
    peer.destroy();
    throw new PaipaiError(
      'PAIPAI_ERR_UNKNOWN_NODE',
      `at the address of node ${nodeId} is node ${peer.remoteNodeId} now`,
      { nodeId, address },
    );
  }
}

async function isThere(peer: Peer): Promise<boolean> {
  if (peer.state !== 'open') return false;
  try {
    await peer.request(relayProbeMethod, undefined, { deadlineMs: probeMsMax });
    return true;
  } catch (thrown) {
    // Whatever it says, it says something.
    return peer.state === 'open' && !isPaipaiError(thrown, 'PAIPAI_ERR_DEADLINE');
  }
}

/** @throws PaipaiError PAIPAI_ERR_UNKNOWN_NODE. */
function find(nodeId: string, members: readonly NetMember[]): NetMember {
  const member = members.find((one) => one.nodeId === nodeId);
  if (member !== undefined && isLivingMember(member) && member.address !== '') return member;
  throw new PaipaiError(
    'PAIPAI_ERR_UNKNOWN_NODE',
    `the net of this node has no living member ${nodeId}`,
    { nodeId },
  );
}

function overloaded(what: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_OVERLOADED', `${what} already`);
}

function noFurther(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'what comes through a hub goes no further');
}

function lostBehind(nodeId: string, thrown: unknown): PaipaiError {
  const { message } = toError(thrown);
  return new PaipaiError(
    'PAIPAI_ERR_NODE_LOST',
    `the hub lost its connection with node ${nodeId}: ${message}`,
    { nodeId, cause: thrown },
  );
}
