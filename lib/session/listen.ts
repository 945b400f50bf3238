import { debuglog } from 'node:util';
import { checkInteger } from '../base/check.js';
import { PaipaiError, toError } from '../base/errors.js';
import { formatAddress, isLocalAddress, parseAddress } from '../transport/address.js';
import type { FrameChannel, FrameListener, NetworkEnv } from '../transport/frame-channel.js';
import { channelOptionsOf } from './connect.js';
import { deadlinesOf } from './deadlines.js';
import { Handshake } from './handshake.js';
import type { SessionSetting } from './link.js';
import { SessionPeer } from './peer.js';
import { checkHandshakesMax, checkSettings, type Settings } from './settings.js';
import type { ListenOptions, Peer, PeerListener } from './types.js';

const log = debuglog('paipainet');

/**
 * Listens for peers; `onPeer` gets each one that has finished its handshake.
 * Fails with PAIPAI_ERR_INSECURE_ADDRESS for an address beyond this machine without a secret, and with the system's error.
 */
export async function listenPeers(
  env: NetworkEnv,
  address: string,
  options: ListenOptions,
  onPeer?: (peer: Peer) => void,
): Promise<PeerListener> {
  const settings = checkSettings(options);
  const handshakesMax = checkHandshakesMax(options);
  const target = parseAddress(address);
  if (settings.secret === null && !isLocalAddress(target)) {
    throw new PaipaiError(
      'PAIPAI_ERR_INSECURE_ADDRESS',
      `listen on ${address}: others than this machine can reach it, and without a secret anyone may join; set the option 'secret', the same for the whole net, or listen on 127.0.0.1 or unix://`,
      { address },
    );
  }
  const acceptor = new Acceptor(env, settings, handshakesMax, onPeer);
  const onChannel = (channel: FrameChannel): void => acceptor.accept(channel);
  acceptor.listener = await env.network.listen(target, onChannel, channelOptionsOf(options));
  return acceptor;
}

class Acceptor implements PeerListener {
  readonly peers = new Set<Peer>();
  /** Set as soon as the network listens, before anybody else sees this object. */
  listener!: FrameListener;
  readonly #env: NetworkEnv;
  readonly #settings: Settings;
  readonly #handshakesMax: number;
  readonly #onPeer: ((peer: Peer) => void) | undefined;
  readonly #setting: SessionSetting;
  readonly #handshakes = new Set<Handshake>();
  #closing: Promise<void> | null = null;

  constructor(
    env: NetworkEnv,
    settings: Settings,
    handshakesMax: number,
    onPeer: ((peer: Peer) => void) | undefined,
  ) {
    this.#env = env;
    this.#settings = settings;
    this.#handshakesMax = handshakesMax;
    this.#onPeer = onPeer;
    this.#setting = {
      settings,
      deadlines: deadlinesOf(env),
      role: 'listen',
      onGone: (session) => void this.peers.delete(session),
    };
  }

  get address(): string {
    return formatAddress(this.listener.address);
  }

  close(graceMs = 1_000): Promise<void> {
    checkInteger('graceMs', graceMs, 0, 0x7fff_ffff);
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  accept(channel: FrameChannel): void {
    if (this.#closing !== null || this.#handshakes.size >= this.#handshakesMax) {
      // The end of the channel concerns nobody.
      channel.receiver = { onFrame() {}, onSink() {}, onDrain() {}, onClose() {} };
      channel.destroy();
      return;
    }
    const handshake = new Handshake(
      channel,
      this.#settings,
      this.#setting.deadlines,
      this.#env.random,
      'listen',
      {
        onReady: (remoteNodeId) => {
          this.#handshakes.delete(handshake);
          return this.#welcome(channel, remoteNodeId);
        },
        onFailed: (error) =>
          log('handshake with %s failed: %s', channel.remoteAddress, error.message),
        onGone: () => this.#handshakes.delete(handshake),
      },
    );
    this.#handshakes.add(handshake);
  }

  #welcome(channel: FrameChannel, remoteNodeId: string): SessionPeer {
    const peer = new SessionPeer(channel, this.#setting, remoteNodeId);
    this.peers.add(peer);
    try {
      this.#onPeer?.(peer);
    } catch (error) {
      peer.destroy(toError(error));
    }
    return peer;
  }

  async #close(graceMs: number): Promise<void> {
    const reason = new PaipaiError(
      'PAIPAI_ERR_CLOSED',
      `the listener at ${this.address} was closed`,
    );
    const stopped = this.listener.close();
    for (const handshake of this.#handshakes) handshake.cancel(reason);
    await Promise.all([stopped, ...Array.from(this.peers, (peer) => peer.close(graceMs))]);
  }
}
