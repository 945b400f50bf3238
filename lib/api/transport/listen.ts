import { EventEmitter } from 'node:events';
import { checkInteger, checkString } from '../../base/check.js';
import { isPaipaiError, PaipaiError } from '../../base/errors.js';
import { listenPeers } from '../../session/listen.js';
import type { PeerListener, Peer as SessionPeer } from '../../session/types.js';
import type { EngineName, NetworkEnv } from '../../transport/frame-channel.js';
import { nameBytesMax } from '../../wire/frame.js';
import type { Codec } from './codec.js';
import { checkListenOptions, type ListenSettings, laneOf } from './options.js';
import { TransportPeer } from './peer.js';
import { serviceOf } from './service.js';
import type {
  BroadcastResult,
  Lane,
  Listener,
  ListenerEvents,
  ListenOptions,
  SendOptions,
} from './types.js';

const graceMsDefault = 1_000;

/** `listen` of the entry, in a given environment. */
export async function listenOver(
  env: NetworkEnv,
  address: string,
  options: ListenOptions<unknown>,
): Promise<TransportListener> {
  const settings = checkListenOptions(env, options);
  const listener = new TransportListener(settings, env.network.engine as EngineName);
  await listener.start(env, address, settings);
  return listener;
}

export class TransportListener
  extends EventEmitter<ListenerEvents<unknown>>
  implements Listener<unknown>
{
  readonly engine: EngineName;
  readonly peers: Set<TransportPeer> = new Set();
  readonly #codec: Codec;
  readonly #dropsSlowPeers: boolean;
  /** Set by `start`, before anybody sees this object. */
  #listener!: PeerListener;
  #closing: Promise<void> | null = null;

  constructor(settings: ListenSettings, engine: EngineName) {
    super();
    this.engine = engine;
    this.#codec = settings.codec;
    this.#dropsSlowPeers = settings.dropsSlowPeers;
  }

  async start(env: NetworkEnv, address: string, settings: ListenSettings): Promise<void> {
    // A session is known from the end of its handshake to its own end, and calls only in between.
    const peerOf = (session: SessionPeer): TransportPeer => session.holder as TransportPeer;
    const sessionOptions = {
      ...settings.session,
      service: {
        ...serviceOf(settings.handlers, settings.codec, peerOf),
        onClose: (session: SessionPeer, error: Error | null) => this.#forget(session, error),
      },
    };
    this.#listener = await listenPeers(env, address, sessionOptions, (session) =>
      this.#welcome(session),
    );
  }

  get address(): string {
    return this.#listener.address;
  }

  broadcast(topic: string, payload?: unknown, options: SendOptions = {}): BroadcastResult<unknown> {
    if (this.#closing !== null) {
      const message = `broadcast '${topic}': the listener at ${this.address} is closed`;
      throw new PaipaiError('PAIPAI_ERR_CLOSED', message, { address: this.address });
    }
    checkString('topic', topic, nameBytesMax);
    const lane = laneOf(options);
    const bytes = this.#codec.encode(payload);
    const result: BroadcastResult<unknown> = { queuedCount: 0, aboveHighMark: [], skippedCount: 0 };
    for (const peer of this.peers) {
      if (peer.state === 'open') this.#sendTo(peer, topic, bytes, lane, result);
    }
    return result;
  }

  async close(graceMs: number = graceMsDefault): Promise<void> {
    checkInteger('graceMs', graceMs, 0, 0x7fff_ffff);
    this.#closing ??= this.#close(graceMs);
    await this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #sendTo(
    peer: TransportPeer,
    topic: string,
    bytes: Uint8Array,
    lane: Lane,
    result: BroadcastResult<unknown>,
  ): void {
    try {
      const isBelowHighMark = peer.sendBytes(topic, bytes, lane);
      result.queuedCount++;
      if (!isBelowHighMark) result.aboveHighMark.push(peer);
    } catch (error) {
      if (!isPaipaiError(error, 'PAIPAI_ERR_BACK_PRESSURE')) throw error;
      result.skippedCount++;
      if (this.#dropsSlowPeers) peer.destroy(error);
    }
  }

  #welcome(session: SessionPeer): void {
    const peer = new TransportPeer(this.#codec, false);
    session.holder = peer;
    this.peers.add(peer);
    peer.attach(session);
    this.emit('peer', peer);
  }

  #forget(session: SessionPeer, error: Error | null): void {
    // A session of which nobody was told has none.
    const peer = session.holder as TransportPeer | undefined;
    if (peer === undefined) return;
    this.peers.delete(peer);
    peer.sessionEnded(session, error);
  }

  async #close(graceMs: number): Promise<void> {
    await this.#listener.close(graceMs);
    this.emit('close');
  }
}
