import type { EventEmitter } from 'node:events';
import type { IoChoice } from '../../native/io.js';
import type { EngineChoice } from '../../node/select-network.js';
import type {
  HeartbeatOptions,
  Lane,
  OnAnswer,
  OnSent,
  MessageBatch as SessionMessageBatch,
  RequestBatch as SessionRequestBatch,
  PeerStats as SessionStats,
  PeerStream as SessionStream,
} from '../../session/types.js';
import type { ChannelPath, EngineName, PathChoice } from '../../transport/frame-channel.js';

/** The words of `paipainet/transport`. `Payload` is `Uint8Array`, or `unknown` with the codec 'msgpack'. */

export type {
  DeferredAnswer,
  HeartbeatOptions,
  Lane,
  Lease,
  OnAnswer,
  OnSent,
} from '../../session/types.js';

/** A byte stream with credit, both ways; each direction ends on its own. Metadata and trailers are bytes with every codec. */
export type PeerStream = Omit<SessionStream, 'peer'>;

export interface MessageContext<Payload> {
  readonly peer: Peer<Payload>;
}

export interface RequestContext<Payload> extends MessageContext<Payload> {
  readonly method: string;
  /** Fires when the caller aborts, its deadline passes or the connection ends. */
  readonly signal: AbortSignal;
  /** What was left of the caller's deadline on arrival, in milliseconds; Infinity when it has none. */
  readonly deadlineMs: number;
}

/**
 * Messages of one topic that came together. Borrowed: it is empty when the call that got it returns, and its bytes are others.
 * Payload `i` is `bytes` from `start(i)` to `end(i)`.
 */
export interface MessageBatch extends Omit<SessionMessageBatch, 'peer'> {
  readonly peer: Peer;
}

/** Requests of one method that came together. Each wants `reply`, `fail` or `defer`, once; what gets none fails with PAIPAI_ERR_REMOTE. */
export interface RequestBatch extends Omit<SessionRequestBatch, 'peer'> {
  readonly peer: Peer;
}

export interface FastHandlers {
  /** Own properties only, as of `methods`, and asked before it. What a handler throws fails the rest of its batch. */
  methods?: Record<string, (batch: RequestBatch) => void>;
  /** Own properties only, as of `topics`, and asked before it. */
  topics?: Record<string, (batch: MessageBatch) => void>;
}

/** The surface of a peer for those who count nanoseconds: no promise, no copy. Payloads are bytes. */
export interface FastPeer {
  /**
   * As `Peer.request`, but for the answer: `onAnswer` is called once, in a later turn, with bytes that are borrowed for the call, or
   * with the error. Throws when nothing was sent: PAIPAI_ERR_PEER_CLOSED while there is no connection, _CLOSED, _BACK_PRESSURE,
   * _OVERLOADED (`requestsPendingMax`), _FRAME_TOO_LARGE, _INVALID_ARGUMENT. What `onAnswer` throws is an uncaught exception.
   * @param deadlineMs above 0, or Infinity; default that of the options
   */
  request(method: string, payload: Uint8Array, onAnswer: OnAnswer, deadlineMs?: number): void;
  /**
   * `Peer.send`. With `onSent` a payload above 16 KiB is referenced by the native engine: leave it unchanged until `onSent` is called, once
   * and in a later turn. Null: the bytes are yours again, sent or copied. An error: yours again too, and they may not have been sent.
   * What it throws is an uncaught exception.
   */
  send(topic: string, payload: Uint8Array, onSent?: OnSent): boolean;
  /**
   * `send` for many payloads of `payloadBytes` each, one behind the other in `payloads`, which is at most 1 MiB long and copied in the
   * call. All are queued or, where it throws, none.
   */
  sendMany(topic: string, payloads: Uint8Array, payloadBytes: number): boolean;
}

/** Nothing is an empty answer, or null with the codec 'msgpack'. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler without a return statement is meant.
export type Answer<Payload> = Payload | undefined | void;

export interface Handlers<Payload> {
  /** Requests by method. Own properties only. */
  methods?: Record<
    string,
    (
      payload: Payload,
      context: RequestContext<Payload>,
    ) => Answer<Payload> | Promise<Answer<Payload>>
  >;
  /** Requests of methods that `methods` does not have. */
  onRequest?: (
    method: string,
    payload: Payload,
    context: RequestContext<Payload>,
  ) => Answer<Payload> | Promise<Answer<Payload>>;
  /** Messages by topic. Own properties only. */
  topics?: Record<string, (payload: Payload, context: MessageContext<Payload>) => void>;
  /** Messages of topics that `topics` does not have; without it they are the event `message`. */
  onMessage?: (topic: string, payload: Payload, context: MessageContext<Payload>) => void;
  /** Streams that the other side opens; without it they are the event `stream`. What it throws resets the stream. */
  onStream?: (stream: PeerStream, context: MessageContext<Payload>) => void | Promise<void>;
}

export type CodecName = 'bytes' | 'msgpack';

export interface TransportOptions<Payload> extends Handlers<Payload> {
  /** Handlers that are called once for all that came together, with borrowed bytes; only with the codec 'bytes'. */
  fast?: FastHandlers;
  /** Name of the net, 1 to 255 bytes; both sides must agree. Default 'default'. */
  name?: string;
  /** At least 16 bytes. Proven by both sides, never sent. Beyond this machine `listen` requires one. */
  secret?: string | Uint8Array;
  /** What this side calls itself, 1 to 255 bytes. Default: made up. */
  nodeId?: string;
  /** Default 'auto': the native one where it works. */
  engine?: EngineChoice;
  /**
   * How the native engine is told of its sockets; the first call of a thread decides for all of the thread. Default 'auto': what
   * PAIPAINET_IO says, else epoll. Asked for and not to be had is PAIPAI_ERR_ENGINE_UNAVAILABLE.
   */
  io?: IoChoice;
  /**
   * How the thread waits for the next message. `spinMicroseconds` (1 to 10,000,000): it goes on looking for so long after each message,
   * which takes a whole CPU and saves the time of waking up, and sleeps after that. Default 'sleep'; the portable engine always sleeps.
   */
  waiting?: 'sleep' | { spinMicroseconds: number };
  /**
   * `'auto'`, the default: shared memory where both sides are native, on one host and of one user, else the socket of the address.
   * `'tcp'`, `'unix'`: that socket in any case; it has to be the address's own. `peer.path` says what it came to.
   */
  path?: PathChoice;
  /** What payloads are; both sides must agree. Default 'bytes'. */
  codec?: unknown extends Payload ? CodecName : 'bytes';
  /** For a request without its own; Infinity is none. Default 30,000. */
  deadlineMs?: number;
  /** Default `{ intervalMs: 10_000, timeoutMs: 30_000 }`. */
  heartbeat?: HeartbeatOptions | false;
  /** Whether TCP sends small packets at once. Default true. */
  noDelay?: boolean;
  /**
   * TCP's own keep-alive: for how many milliseconds (1,000 to 32,767,000, rounded up to seconds) a connection may be silent before the system
   * asks. Default false: the heartbeat sees more.
   */
  keepAlive?: number | false;
  /** Default 5,000. */
  handshakeTimeoutMs?: number;
  /** Longest payload of one frame: 1 KiB to 64 MiB. Default 16 MiB. */
  frameBytesMax?: number;
  /** Requests and messages that may wait for the peer to read: 64 KiB to 4 GiB. Default 16 MiB. */
  queuedBytesMax?: number;
  /** Stream data under way to this side on one connection, and payloads of requests being served for it: each 1 MiB to 4 GiB. Default 64 MiB. */
  inFlightBytesMax?: number;
  /** Requests served at once for one peer: 1 to 1,048,576. Default 4,096. */
  requestsInFlightMax?: number;
  /** Requests of this side that wait for their answers on one connection: 1 to 16,777,216. Default 1,048,576. */
  requestsPendingMax?: number;
  /** Streams that each side may have open at once on one connection, one counting until its `onStream` has settled: 1 to 65,536. Default 1,024. */
  streamsMax?: number;
}

export interface ListenOptions<Payload = Uint8Array> extends TransportOptions<Payload> {
  /** What `broadcast` does with a peer that has no room left. Default 'skip'. */
  slowPeers?: 'skip' | 'drop';
  /** Connections that have not finished the handshake: 1 to 1,048,576. Default 1,024; more are closed at once. */
  handshakesMax?: number;
}

export interface ReconnectOptions {
  /** Before the first attempt; doubles with each. Default 100. */
  backoffMs?: number;
  /** Longest wait. Default 10,000. */
  backoffMsMax?: number;
  /** The part of each wait that is left to chance, 0 to 1. Default 1: anything from 0 to the whole. */
  jitter?: number;
  /** Attempts until the peer closes, counted anew once a connection has stood for `backoffMsMax`. Default Infinity. */
  attemptsMax?: number;
}

export interface ConnectOptions<Payload = Uint8Array> extends TransportOptions<Payload> {
  /** Default false: the peer closes with its connection. */
  reconnect?: ReconnectOptions | false;
  /** Requests that wait for the next connection: 0 to 1,048,576. Default 1,024. */
  queuedRequestsMax?: number;
  /** For a request without its own: whether it fails at once instead of waiting for the next connection. Default false. */
  failFast?: boolean;
  /** For each attempt to connect. Default 10,000. */
  connectTimeoutMs?: number;
  /** Aborts the first attempt to connect; later ones end with `close`. */
  signal?: AbortSignal;
}

export interface RequestOptions {
  /** Milliseconds until PAIPAI_ERR_DEADLINE, above 0; Infinity is none. The other side learns it. Default: as of the peer. */
  deadlineMs?: number;
  /** Aborts with PAIPAI_ERR_ABORTED; the other side's `signal` fires. */
  signal?: AbortSignal;
  /** Whether to fail at once while there is no connection. Default: as of the peer. */
  failFast?: boolean;
}

export interface SendOptions {
  /**
   * Default 'first', in order with requests. 'bulk': behind all that is in the first lane; in that lane first in, first out, the pieces of
   * streams included. The message is not cut, so what comes in the first lane may wait for the rest of one.
   */
  lane?: Lane;
}

export interface StreamOptions {
  /** Default Infinity. */
  deadlineMs?: number;
  signal?: AbortSignal;
}

export interface PeerEvents<Payload> {
  /** A connection stands: the first one, which is told after `connect` has settled, and each after a `drop`. */
  connect: [];
  /** The connection is gone and the peer is about to reconnect. */
  drop: [error: Error];
  /** More than 1 MiB waits for the peer to read. */
  pressure: [];
  /** After `pressure`: less than 256 KiB waits. */
  drain: [];
  /** The last event, once. Null: closed in order. */
  close: [error: Error | null];
  message: [topic: string, payload: Payload];
  stream: [stream: PeerStream];
}

/** Sums over all connections of the peer, and what is under way now. */
export interface PeerStats extends SessionStats {
  /** Connections made. */
  connections: number;
  /** Requests that wait for the next connection. */
  requestsWaiting: number;
  /** Bytes that the system has not taken yet. */
  queuedBytes: number;
  /** Messages that came when nobody listened for them. */
  messagesUnhandled: number;
}

export type PeerState = 'open' | 'reconnecting' | 'closing' | 'closed';

/** The other side, over one connection, or with `reconnect` over one after the other. */
export interface Peer<Payload = Uint8Array>
  extends EventEmitter<PeerEvents<Payload>>,
    AsyncDisposable {
  readonly engine: EngineName;
  /** Of the last connection. */
  readonly path: ChannelPath;
  readonly remoteAddress: string;
  /** What the other side calls itself. */
  readonly remoteNodeId: string;
  readonly state: PeerState;

  /** Callbacks and borrowed bytes in place of promises and copies. */
  readonly fast: FastPeer;

  /**
   * One request, one answer. The payload is yours again at once; so is the answer.
   * Fails: PAIPAI_ERR_DEADLINE, _ABORTED, _METHOD_UNKNOWN, _REMOTE or the code that the handler threw; _OVERLOADED (too many under way over
   * there, or waiting here, see `requestsPendingMax`), _BACK_PRESSURE (`queuedBytesMax`), _FRAME_TOO_LARGE: none of these was begun. _PEER_CLOSED: the connection ended;
   * whether it was done is not known, and it is not repeated. _CLOSED: the peer was closed before.
   */
  request(method: string, payload?: Payload, options?: RequestOptions): Promise<Payload>;
  /**
   * One way, in order with requests unless `options` name the other lane; the payload is yours again at once. False: queued, but more than
   * 1 MiB waits; await `drained()`. Throws PAIPAI_ERR_BACK_PRESSURE, _FRAME_TOO_LARGE, _CLOSED, and _PEER_CLOSED while there is no connection.
   */
  send(topic: string, payload?: Payload, options?: SendOptions): boolean;
  /** Throws PAIPAI_ERR_OVERLOADED above `streamsMax`, _CLOSED, and _PEER_CLOSED while there is no connection. */
  openStream(method: string, metadata?: Uint8Array, options?: StreamOptions): PeerStream;
  /** Settles when less than 256 KiB waits, and never in the turn in which something was refused for want of room. Fails with PAIPAI_ERR_PEER_CLOSED when the connection ends. */
  drained(): Promise<void>;
  stats(): PeerStats;
  /** Refuses new work, lets what is under way finish for `graceMs` (default 1,000), says goodbye, ends. */
  close(graceMs?: number): Promise<void>;
  /** Ends at once; what is under way fails with PAIPAI_ERR_PEER_CLOSED and `error` as its cause. */
  destroy(error?: Error): void;
  /** Whether the peer keeps the process alive, which it does at first. */
  ref(): this;
  unref(): this;
}

export interface BroadcastResult<Payload> {
  /** Peers for which the message was queued. */
  queuedCount: number;
  /** Those of them for which more than 1 MiB waits now. */
  aboveHighMark: Peer<Payload>[];
  /** Peers left out for want of room; with `slowPeers: 'drop'` their connections were ended. */
  skippedCount: number;
}

export interface ListenerEvents<Payload> {
  /** A peer has finished its handshake; nothing it says comes before the end of this event. */
  peer: [peer: Peer<Payload>];
  close: [];
}

export interface Listener<Payload = Uint8Array>
  extends EventEmitter<ListenerEvents<Payload>>,
    AsyncDisposable {
  /** With the port that the system chose. */
  readonly address: string;
  readonly engine: EngineName;
  readonly peers: ReadonlySet<Peer<Payload>>;
  /** Sends to every peer, once. Nobody is waited for. Throws PAIPAI_ERR_FRAME_TOO_LARGE, _VALUE, _CLOSED. */
  broadcast(topic: string, payload?: Payload, options?: SendOptions): BroadcastResult<Payload>;
  /** Stops accepting, and closes every peer as `Peer.close` does. */
  close(graceMs?: number): Promise<void>;
}
