import { deferred } from '../../base/deferred.js';
import { PaipaiError } from '../../base/errors.js';
import { connectPeer } from '../../session/connect.js';
import { StreamNetwork } from '../../session/relay/stream-network.js';
import type { Peer, SessionOptions } from '../../session/types.js';
import type { NetworkEnv } from '../../transport/frame-channel.js';
import { decodeMemberList, type NetMember } from '../membership/member-list.js';
import { dialHub, type Hub } from './dial-hub.js';
import { encodeRelayOpen, relayListMethod, relayOpenMethod } from './messages.js';

const answerMsMax = 5_000;
/** The hub has to connect to the node first, which it gives up after 3 s. */
const handshakeMsMax = 10_000;

/** Of who waits for as long as it takes. */
const never = new AbortController().signal;

/**
 * The one way of a client to its nodes: through a hub. There is one connection to the hub, made anew when it is needed and the last one has
 * ended, and in it a stream for each session with a node. These end with it.
 */
export class HubLine {
  readonly #env: NetworkEnv;
  readonly #addresses: readonly string[];
  readonly #options: SessionOptions;
  readonly #network = new StreamNetwork();
  #hub: Hub | undefined;
  #dialing: Promise<Hub> | undefined;
  readonly #closing = new AbortController();

  /**
   * @param addresses of nodes that are hubs, in order of preference
   * @param options of the session with the hub
   */
  constructor(env: NetworkEnv, addresses: readonly string[], options: SessionOptions) {
    this.#env = env;
    this.#addresses = addresses;
    this.#options = { ...options, signal: this.#closing.signal };
  }

  /** Of the hub that was reached last; empty before that. */
  get address(): string {
    return this.#hub?.address ?? '';
  }

  /**
   * Who can be reached through the hub, itself included; the dead that are remembered too. The address of one that the hub cannot
   * connect to is empty.
   * Fails as `dialHub`, with PAIPAI_ERR_METHOD_UNKNOWN or _INVALID_STATE for something that is no member of a net, and with _ABORTED
   * when `signal` fires.
   */
  async members(signal: AbortSignal = never): Promise<NetMember[]> {
    const { peer } = await this.#reach(signal);
    const deadlineMs = answerMsMax;
    const answer = await peer.request(relayListMethod, undefined, { deadlineMs, signal });
    return decodeMemberList(answer);
  }

  /**
   * A session with a node, which is none but by its id; with the hub itself directly. Fails as `dialHub`, and with what the hub says:
   * PAIPAI_ERR_UNKNOWN_NODE, also when another one answers, _NODE_START when it does not reach the node, _OVERLOADED; or the node.
   */
  async connect(nodeId: string, options: SessionOptions): Promise<Peer> {
    const hub = await this.#reach(options.signal ?? never);
    const peer =
      nodeId === hub.peer.remoteNodeId
        ? await connectPeer(this.#env, hub.address, options)
        : await this.#connectBehind(hub, nodeId, options);
    const { remoteNodeId } = peer;
    if (remoteNodeId === nodeId) return peer;
    peer.destroy();
    throw new PaipaiError(
      'PAIPAI_ERR_UNKNOWN_NODE',
      `where node ${nodeId} was asked for answers node ${remoteNodeId}`,
      { nodeId, address: hub.address },
    );
  }

  #connectBehind({ peer, address }: Hub, nodeId: string, options: SessionOptions): Promise<Peer> {
    const stream = peer.openStream(relayOpenMethod, encodeRelayOpen(nodeId));
    const handshakeTimeoutMs = handshakeMsMax;
    return this.#network.connect(this.#env, stream, address, { ...options, handshakeTimeoutMs });
  }

  /** Ends the connection, and with it every session. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#dialing?.catch(() => {}); // It ends what it makes.
    await this.#hub?.peer.close(0);
  }

  /** `signal` ends the wait, and not an attempt that others may wait for. */
  async #reach(signal: AbortSignal): Promise<Hub> {
    if (this.#hub?.peer.state === 'open') return this.#hub;
    this.#dialing ??= this.#dial().finally(() => {
      this.#dialing = undefined;
    });
    return unlessAborted(this.#dialing, signal);
  }

  async #dial(): Promise<Hub> {
    const { signal } = this.#closing;
    try {
      this.#hub = await dialHub(this.#env, this.#addresses, this.#options);
    } catch (thrown) {
      throw signal.aborted ? netClosed() : thrown;
    }
    if (!signal.aborted) return this.#hub;
    this.#hub.peer.destroy();
    throw netClosed();
  }
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const fired = deferred<never>();
  const onAbort = (): void => {
    const cause: unknown = signal.reason;
    fired.reject(new PaipaiError('PAIPAI_ERR_ABORTED', 'the way to the hub: aborted', { cause }));
  };
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, fired.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function netClosed(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_CLOSED', 'the net was closed');
}
