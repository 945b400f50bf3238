import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { acceptorMethod } from '../coordination/quorum/messages.js';
import { connectPeer } from '../session/connect.js';
import type { Peer, SessionOptions } from '../session/types.js';
import type { NetworkEnv } from '../transport/frame-channel.js';

/** Of a node that is not reached, until it is called again: it answers nobody meanwhile. */
const redialMs = 200;
const connectMsMax = 1_000;

export interface QuorumPeersOptions {
  readonly env: NetworkEnv;
  readonly session: SessionOptions;
  /** Where a node of the net is reached now; undefined: nobody knows. */
  readonly addressOf: (nodeId: string) => Promise<string | undefined>;
}

/** The sessions of one member of a quorum with the others, made when there is something to ask. */
export class QuorumPeers {
  readonly #options: QuorumPeersOptions;
  readonly #peers = new Map<string, Promise<Peer>>();
  readonly #closing = new AbortController();

  constructor(options: QuorumPeersOptions) {
    this.#options = options;
  }

  /** What the acceptor of that node answers. Fails: with what keeps it from being asked. */
  async ask(nodeId: string, question: Uint8Array, deadlineMs: number): Promise<Uint8Array> {
    const connecting = this.#peerOf(nodeId);
    const peer = await connecting;
    try {
      return await peer.request(acceptorMethod, question, { deadlineMs });
    } catch (thrown) {
      // On a connection over which nothing came for so long the system repeats itself ever more seldom; a new one is there as soon as the way is.
      if (isPaipaiError(thrown, 'PAIPAI_ERR_DEADLINE')) {
        this.#forget(nodeId, connecting);
        peer.destroy();
      }
      throw thrown;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const connecting = [...this.#peers.values()];
    this.#peers.clear();
    for (const peer of await Promise.allSettled(connecting)) {
      if (peer.status === 'fulfilled') peer.value.destroy();
    }
  }

  #peerOf(nodeId: string): Promise<Peer> {
    const known = this.#peers.get(nodeId);
    if (known !== undefined) return known;
    const connecting = this.#connect(nodeId);
    this.#peers.set(nodeId, connecting);
    const forget = (): void => this.#forget(nodeId, connecting);
    connecting.then(
      (peer) => peer.closed.then(forget),
      () => this.#options.env.timers.after(redialMs, forget),
    );
    return connecting;
  }

  #forget(nodeId: string, connecting: Promise<Peer>): void {
    if (this.#peers.get(nodeId) === connecting) this.#peers.delete(nodeId);
  }

  async #connect(nodeId: string): Promise<Peer> {
    const { env, session, addressOf } = this.#options;
    const address = await addressOf(nodeId);
    if (address === undefined || this.#closing.signal.aborted) {
      throw new PaipaiError('PAIPAI_ERR_UNKNOWN_NODE', `nobody knows where node ${nodeId} is`, {
        nodeId,
      });
    }
    const peer = await connectPeer(env, address, {
      ...session,
      connectTimeoutMs: connectMsMax,
      handshakeTimeoutMs: connectMsMax,
      signal: this.#closing.signal,
    });
    if (peer.remoteNodeId === nodeId) return peer;
    peer.destroy();
    throw new PaipaiError(
      'PAIPAI_ERR_UNKNOWN_NODE',
      `at the address of node ${nodeId} is node ${peer.remoteNodeId} now`,
      { nodeId, address },
    );
  }
}
