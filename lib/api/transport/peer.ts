import {
  checkDuration,
  checkInteger,
  checkSignal,
  checkString,
  invalidArgument,
} from '../../base/check.js';
import { PaipaiError } from '../../base/errors.js';
import { LateEmitter } from '../../base/late-emitter.js';
import { peerClosed, sessionClosed } from '../../session/failures.js';
import type { Peer as SessionPeer, PeerStats as SessionStats } from '../../session/types.js';
import type { ChannelPath, EngineName } from '../../transport/frame-channel.js';
import { queueBytesHigh } from '../../transport/limits.js';
import { nameBytesMax } from '../../wire/frame.js';
import { type Codec, codecs } from './codec.js';
import { checkRequestOptions, checkStreamOptions, laneOf } from './options.js';
import type { Redial } from './redial.js';
import type {
  FastPeer,
  Lane,
  OnSent,
  Peer,
  PeerEvents,
  PeerState,
  PeerStats,
  PeerStream,
  RequestOptions,
  SendOptions,
  StreamOptions,
} from './types.js';
import type { WaitingRequests } from './waiting-requests.js';

/** What a peer has that makes its next connection itself. */
export interface Reconnection {
  readonly redial: Redial;
  readonly waiting: WaitingRequests;
  readonly failFast: boolean;
  readonly deadlineMs: number;
}

const graceMsDefault = 1_000;

/** What such a peer remembers from one connection to the next. */
class Reconnecting {
  readonly redial: Redial;
  readonly waiting: WaitingRequests;
  readonly failFast: boolean;
  readonly deadlineMs: number;
  keepsAlive = true;
  connections = 0;
  /** Of the sessions before this one. */
  past: SessionStats = noStats;

  constructor({ redial, waiting, failFast, deadlineMs }: Reconnection) {
    this.redial = redial;
    this.waiting = waiting;
    this.failFast = failFast;
    this.deadlineMs = deadlineMs;
  }
}

const noStats: SessionStats = {
  framesSent: 0,
  framesReceived: 0,
  bytesSent: 0,
  bytesReceived: 0,
  requestsInFlight: 0,
  streamsOpen: 0,
  handlerFailures: 0,
};

/**
 * One peer as people know it, over the session that stands now. Payloads are `unknown` here: the codec makes bytes of them, and the
 * types of `connect` and `listen` say what they are.
 */
export class TransportPeer extends LateEmitter<PeerEvents<unknown>> implements Peer<unknown> {
  readonly #codec: Codec;
  /** The session that stands, or the last one; set by `attach` before anybody sees this object. */
  #session!: SessionPeer;
  #state: PeerState = 'open';
  #reconnection: Reconnecting | null = null;
  #isPressed = false;
  #fast: FastPeer | null = null;
  #messagesUnhandled = 0;
  /** Events that wait until somebody can listen; null from then on. */
  #early: (() => void)[] | null;
  #closing: Promise<void> | null = null;

  /** @param holdsEvents whether events wait for `handOver` */
  constructor(codec: Codec, holdsEvents: boolean) {
    super();
    this.#codec = codec;
    this.#early = holdsEvents ? [] : null;
  }

  get engine(): EngineName {
    // Only an engine makes sessions for this surface; the network in memory is for tests of the floors below.
    return this.#session.engine as EngineName;
  }

  get path(): ChannelPath {
    return this.#session.path;
  }

  get remoteAddress(): string {
    return this.#session.remoteAddress;
  }

  get fast(): FastPeer {
    this.#fast ??= {
      request: (method, payload, onAnswer, deadlineMs) => {
        if (this.#isBetweenConnections()) throw this.#noConnection(`request '${method}'`);
        const session = this.#session;
        session.requestFast(method, payload, onAnswer, deadlineMs);
        if (session.queuedBytes > queueBytesHigh) this.#onPressure();
      },
      send: (topic, payload, onSent) =>
        onSent === undefined
          ? this.sendBytes(topic, payload, 'first')
          : this.#sendByReference(topic, payload, onSent),
      sendMany: (topic, payloads, payloadBytes) => this.#sendMany(topic, payloads, payloadBytes),
    };
    return this.#fast;
  }

  get remoteNodeId(): string {
    return this.#session.remoteNodeId;
  }

  get state(): PeerState {
    // The session is the first to know that the other side is leaving.
    if (this.#state !== 'open' || this.#session.state === 'open') return this.#state;
    return this.#reconnection === null ? 'closing' : 'reconnecting';
  }

  // Not `async`, which would cost each request a second promise.
  request(method: string, payload?: unknown, options?: RequestOptions): Promise<unknown> {
    try {
      const codec = this.#codec;
      const bytes = codec.encode(payload);
      if (options !== undefined) checkRequestOptions(options);
      const answer = this.#request(method, bytes, options);
      return codec === codecs.bytes ? answer : answer.then(codec.decode);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  send(topic: string, payload?: unknown, options?: SendOptions): boolean {
    const bytes = this.#codec.encode(payload);
    return this.sendBytes(topic, bytes, options === undefined ? 'first' : laneOf(options));
  }

  /** `send`, behind the codec. */
  sendBytes(topic: string, bytes: Uint8Array, lane: Lane): boolean {
    if (this.#isBetweenConnections()) throw this.#noConnection(`message '${topic}'`);
    const isBelowHighMark = this.#session.send(topic, bytes, lane);
    if (!isBelowHighMark) this.#onPressure();
    return isBelowHighMark;
  }

  #sendByReference(topic: string, payload: Uint8Array, onSent: OnSent): boolean {
    if (this.#isBetweenConnections()) throw this.#noConnection(`message '${topic}'`);
    const isBelowHighMark = this.#session.sendByReference(topic, payload, onSent);
    if (!isBelowHighMark) this.#onPressure();
    return isBelowHighMark;
  }

  #sendMany(topic: string, payloads: Uint8Array, payloadBytes: number): boolean {
    if (this.#isBetweenConnections()) throw this.#noConnection(`messages '${topic}'`);
    const isBelowHighMark = this.#session.sendMany(topic, payloads, payloadBytes);
    if (!isBelowHighMark) this.#onPressure();
    return isBelowHighMark;
  }

  openStream(method: string, metadata?: Uint8Array, options?: StreamOptions): PeerStream {
    if (options !== undefined) checkStreamOptions(options);
    if (this.#isBetweenConnections()) throw this.#noConnection(`stream '${method}'`);
    return this.#session.openStream(method, metadata, options);
  }

  drained(): Promise<void> {
    return this.#session.drained();
  }

  stats(): PeerStats {
    const { past = noStats, connections = 1, waiting } = this.#reconnection ?? {};
    return {
      ...sumOf(past, this.#session.stats()),
      connections,
      requestsWaiting: waiting?.count ?? 0,
      queuedBytes: this.#session.queuedBytes,
      messagesUnhandled: this.#messagesUnhandled,
    };
  }

  async close(graceMs: number = graceMsDefault): Promise<void> {
    checkInteger('graceMs', graceMs, 0, 0x7fff_ffff);
    this.#closing ??= this.#close(graceMs);
    await this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  destroy(error?: Error): void {
    if (error !== undefined && !(error instanceof Error)) {
      throw invalidArgument('error', 'an Error', error);
    }
    if (this.#state === 'closed') return;
    const isWithoutSession = this.#state === 'reconnecting';
    this.#leave();
    this.#session.destroy(error);
    // A session that was over before will not say so again.
    if (isWithoutSession) process.nextTick(() => this.#finish(error ?? null));
  }

  ref(): this {
    return this.#setKeepsAlive(true);
  }

  unref(): this {
    return this.#setKeepsAlive(false);
  }

  // What those who make connections tell.

  /** From now on the peer makes its connections itself. */
  reconnectBy(reconnection: Reconnection): void {
    this.#reconnection = new Reconnecting(reconnection);
  }

  /** A session stands; nothing has come over it yet. */
  attach(session: SessionPeer): void {
    if (this.#state === 'closing' || this.#state === 'closed') {
      session.destroy();
      return;
    }
    const reconnection = this.#reconnection;
    if (reconnection !== null && reconnection.connections > 0) {
      reconnection.past = sumOf(reconnection.past, this.#session.stats());
    }
    this.#session = session;
    this.#isPressed = false;
    this.#state = 'open';
    if (reconnection !== null) this.#resume(reconnection, session);
    this.#announce(() => this.emit('connect'));
  }

  #resume(reconnection: Reconnecting, session: SessionPeer): void {
    reconnection.connections++;
    if (!reconnection.keepsAlive) session.unref();
    reconnection.redial.connected();
    reconnection.waiting.sendAll(({ method, payload, deadlineMs, signal }) =>
      session.request(method, payload, { deadlineMs, ...(signal !== undefined && { signal }) }),
    );
    if (reconnection.connections > 1) this.#holdEvents();
  }

  /** Somebody can listen to events. */
  handOver(): void {
    const early = this.#early ?? [];
    this.#early = null;
    // One by one, so that a listener that throws costs no other its event.
    for (const event of early) process.nextTick(event);
  }

  sessionEnded(session: SessionPeer, error: Error | null): void {
    // One that came too late to be attached concerns nobody.
    if (session !== this.#session) return;
    if (this.#reconnection === null || this.#state !== 'open') {
      this.#finish(error);
      return;
    }
    this.#state = 'reconnecting';
    const reason = error ?? peerClosed(this.remoteAddress, 'the other side said goodbye', null);
    try {
      this.#announce(() => this.emit('drop', reason));
    } finally {
      // A listener may have closed the peer; one that throws must not cost it its next connection.
      if (this.state === 'reconnecting') this.#reconnection.redial.start(reason);
    }
  }

  /** There will be no further connection. */
  giveUp(error: Error): void {
    const { remoteAddress } = this;
    this.#reconnection?.waiting.failAll((method) =>
      peerClosed(remoteAddress, `request '${method}'`, error),
    );
    this.#finish(error);
  }

  takeMessage(topic: string, payload: unknown): void {
    this.#announce(() => {
      if (!this.emit('message', topic, payload)) this.#messagesUnhandled++;
    });
  }

  takeStream(stream: PeerStream): void {
    this.#announce(() => {
      if (this.emit('stream', stream)) return;
      const { method } = stream;
      const message = `no stream '${method}' is served`;
      stream.reset(new PaipaiError('PAIPAI_ERR_METHOD_UNKNOWN', message, { method }));
    });
  }

  /** Whether the connection is gone and another will come. */
  #isBetweenConnections(): boolean {
    return this.state === 'reconnecting';
  }

  #request(
    method: string,
    payload: Uint8Array,
    options: RequestOptions | undefined,
  ): Promise<Uint8Array> {
    const reconnection = this.#reconnection;
    if (reconnection !== null && this.#isBetweenConnections()) {
      checkString('method', method, nameBytesMax);
      const signal = checkSignal('signal', options?.signal);
      const asked = options?.deadlineMs ?? reconnection.deadlineMs;
      const deadlineMs = checkDuration('deadlineMs', asked, true);
      if (options?.failFast ?? reconnection.failFast)
        throw this.#noConnection(`request '${method}'`);
      return reconnection.waiting.add({ method, payload, deadlineMs, signal });
    }
    const session = this.#session;
    const answer = session.request(method, payload, options);
    if (session.queuedBytes > queueBytesHigh) this.#onPressure();
    return answer;
  }

  #noConnection(tried: string): PaipaiError {
    const address = this.remoteAddress;
    return new PaipaiError(
      'PAIPAI_ERR_PEER_CLOSED',
      `${tried}: there is no connection with ${address} at the moment, and nothing was sent`,
      { address },
    );
  }

  #onPressure(): void {
    if (this.#isPressed) return;
    this.#isPressed = true;
    const session = this.#session;
    const onDrained = (): void => {
      if (session !== this.#session) return;
      this.#isPressed = false;
      this.emit('drain');
    };
    // Its end is told by `drop` or `close`.
    void session.drained().then(onDrained, () => {});
    this.emit('pressure');
  }

  /** Events wait for the next tick: a listener that throws must not do so inside the handshake. */
  #holdEvents(): void {
    if (this.#early !== null) return;
    this.#early = [];
    process.nextTick(() => this.handOver());
  }

  #announce(event: () => void): void {
    if (this.#early === null) event();
    else this.#early.push(event);
  }

  async #close(graceMs: number): Promise<void> {
    if (this.#state === 'closed') return;
    this.#leave();
    await this.#session.close(graceMs);
    // Unless the session's own end was the peer's.
    this.#finish(null);
  }

  /** Takes no new work. */
  #leave(): void {
    this.#state = 'closing';
    this.#reconnection?.redial.stop();
    const { remoteAddress } = this;
    this.#reconnection?.waiting.failAll((method) =>
      sessionClosed(remoteAddress, `request '${method}'`),
    );
  }

  #finish(error: Error | null): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#announce(() => this.emit('close', error));
  }

  #setKeepsAlive(keepsAlive: boolean): this {
    if (keepsAlive) this.#session.ref();
    else this.#session.unref();
    const reconnection = this.#reconnection;
    if (reconnection !== null) {
      reconnection.keepsAlive = keepsAlive;
      reconnection.redial.setKeepAlive(keepsAlive);
    }
    return this;
  }
}

function sumOf(a: SessionStats, b: SessionStats): SessionStats {
  return {
    framesSent: a.framesSent + b.framesSent,
    framesReceived: a.framesReceived + b.framesReceived,
    bytesSent: a.bytesSent + b.bytesSent,
    bytesReceived: a.bytesReceived + b.bytesReceived,
    requestsInFlight: a.requestsInFlight + b.requestsInFlight,
    streamsOpen: a.streamsOpen + b.streamsOpen,
    handlerFailures: a.handlerFailures + b.handlerFailures,
  };
}
