import type {
  ChannelOptions,
  ChannelPath,
  EngineName,
  FrameChannel,
} from '../transport/frame-channel.js';

/** What a session is to those above it. `peer.ts` implements it over any frame channel. */

/** What waits for what on one connection: everything in 'bulk' for everything in 'first'. */
export type Lane = 'first' | 'bulk';

export interface RequestOptions {
  /** Milliseconds until PAIPAI_ERR_DEADLINE; above 0. Default `SessionOptions.deadlineMs`. The other side learns it. */
  deadlineMs?: number;
  /** Aborts with PAIPAI_ERR_ABORTED (the signal's reason as cause); the other side's `signal` fires. */
  signal?: AbortSignal;
}

export interface IncomingRequest {
  readonly peer: Peer;
  readonly method: string;
  /** Safe to keep. */
  readonly payload: Uint8Array;
  /** Fires when the caller aborts, its deadline passes or the connection ends. */
  readonly signal: AbortSignal;
  /** What was left of the caller's deadline on arrival, in milliseconds; Infinity when it has none. */
  readonly deadlineMs: number;
}

/** What a side offers to its peer. A missing handler answers PAIPAI_ERR_METHOD_UNKNOWN. */
export interface PeerService {
  /**
   * The return value is the answer; it is left unchanged from then on. A PaipaiError travels with its code and message;
   * anything else thrown becomes PAIPAI_ERR_REMOTE with its message. Throw `PAIPAI_ERR_METHOD_UNKNOWN` for a method that is not served.
   */
  onRequest?(request: IncomingRequest): Uint8Array | Promise<Uint8Array>;
  readonly fast?: FastService;
  onMessage?(topic: string, payload: Uint8Array, peer: Peer): void;
  /** A stream the peer opened. What it throws, or rejects with, resets the stream. */
  onStream?(stream: PeerStream): void | Promise<void>;
  /** The session ended; exactly once. */
  onClose?(peer: Peer, error: Error | null): void;
}

/** Borrowed: gone when the call that got it returns. Payload `i` is `bytes` from `start(i)` to `end(i)`. */
export interface MessageBatch {
  /** The peer that `FastService.peerOf` gave. */
  readonly peer: unknown;
  /** The topic, or the method. */
  readonly name: string;
  /** 1 or more. */
  readonly length: number;
  readonly bytes: Uint8Array;
  start(index: number): number;
  end(index: number): number;
  /**
   * Payload `index` for after the call. Where a large one has memory of its own it is not copied, and that memory takes another payload
   * once every lease on it is released.
   */
  lease(index: number): Lease;
}

/** A payload that stays as it is until it is given back; one that is forgotten instead is garbage like any other. */
export interface Lease extends Disposable {
  /** Empty after `release`. */
  readonly bytes: Uint8Array;
  /** Do not release what you have returned as an answer. Views of the bytes may be empty from here on. Once; again is nothing. */
  release(): void;
}

/** Each request wants one of the three, once; one that gets none fails with PAIPAI_ERR_REMOTE. */
export interface RequestBatch extends MessageBatch {
  /** Up to 16 KiB are copied in the call. */
  reply(index: number, bytes?: Uint8Array): void;
  /** `reply` with a part of `bytes` of the batch: an echo, or a prefix. */
  replyRange(index: number, start: number, end: number): void;
  fail(index: number, error: Error): void;
  /** For an answer after the call; its payload is gone by then. */
  defer(index: number): DeferredAnswer;
}

export interface DeferredAnswer {
  readonly signal: AbortSignal;
  reply(bytes?: Uint8Array): void;
  fail(error: Error): void;
}

/** Handlers that take as many as came together, by name, before `PeerService` is asked. What one throws fails the rest of its batch. */
export interface FastService {
  readonly methods: ReadonlyMap<string, (batch: RequestBatch) => void>;
  readonly topics: ReadonlyMap<string, (batch: MessageBatch) => void>;
  peerOf(peer: Peer): unknown;
}

/** The bytes are yours again: sent or copied (null), or perhaps never sent. */
export type OnSent = (error: Error | null) => void;

/** The answer lies in `bytes` from `start` to `end`, borrowed for this call; with an error it is empty. */
export type OnAnswer = (error: Error | null, bytes: Uint8Array, start: number, end: number) => void;

export interface PeerStats {
  framesSent: number;
  framesReceived: number;
  bytesSent: number;
  bytesReceived: number;
  requestsInFlight: number;
  streamsOpen: number;
  /** Calls of `onMessage` and `onClose` that threw; what they threw is logged under NODE_DEBUG=paipainet. */
  handlerFailures: number;
}

export interface Peer extends AsyncDisposable {
  readonly engine: EngineName | 'memory';
  readonly path: ChannelPath;
  readonly remoteAddress: string;
  /** What the other side said of itself in its hello. */
  readonly remoteNodeId: string;
  /** Bytes of all kinds, stream data too, that the system has not taken yet. */
  readonly queuedBytes: number;
  readonly state: 'open' | 'closing' | 'closed';
  /** What those above make of this session; it is theirs alone, and undefined before they set it. */
  holder: unknown;
  /** Settles when the session is over: null after an orderly close, else the reason. It never rejects. */
  readonly closed: Promise<Error | null>;

  /**
   * One request, one answer. The payload is copied in the call and yours again at once; the answer is safe to keep.
   * Fails: PAIPAI_ERR_DEADLINE, _ABORTED, _PEER_CLOSED, _OVERLOADED, _METHOD_UNKNOWN, _REMOTE, or the code the other side threw;
   * _BACK_PRESSURE above `queuedBytesMax`, and then nothing was sent.
   */
  request(method: string, payload?: Uint8Array, options?: RequestOptions): Promise<Uint8Array>;
  /**
   * `request` without a promise: `onAnswer` is called once, in a later turn. Throws when nothing was sent: PAIPAI_ERR_CLOSED,
   * _BACK_PRESSURE, _OVERLOADED, _FRAME_TOO_LARGE, _INVALID_ARGUMENT. What `onAnswer` throws is an uncaught exception.
   */
  requestFast(method: string, payload: Uint8Array, onAnswer: OnAnswer, deadlineMs?: number): void;
  /**
   * One way; with the lane 'first', the default, in order with requests. False: queued, but above the high mark; wait for `drained()`.
   * Throws when closed, or above `queuedBytesMax`.
   */
  send(topic: string, payload?: Uint8Array, lane?: Lane): boolean;
  /**
   * `send` without a copy: leave the payload unchanged until `onSent`, which is called once, in a later turn. What it throws is an
   * uncaught exception.
   */
  sendByReference(topic: string, payload: Uint8Array, onSent: OnSent): boolean;
  /**
   * `send` for many payloads of one length, which lie one behind the other in `payloads`: at most 1 MiB of them. All are queued or
   * none; the bytes are copied in the call.
   */
  sendMany(topic: string, payloads: Uint8Array, payloadBytes: number): boolean;
  /**
   * Settles when the queue is below the low mark. At once when it is, unless something was refused for want of room: then the event loop
   * goes round first, so that what waits can leave while somebody tries again and again.
   */
  drained(): Promise<void>;
  /**
   * Opens a byte stream, both ways, with `metadata` of at most 64 KiB. It has no deadline unless `options` give one.
   * Throws PAIPAI_ERR_CLOSED, and PAIPAI_ERR_OVERLOADED above `streamsMax`.
   */
  openStream(method: string, metadata?: Uint8Array, options?: RequestOptions): PeerStream;
  stats(): PeerStats;
  /** Refuses new work, lets what is in flight finish for `graceMs` (default 1,000), says goodbye, ends. */
  close(graceMs?: number): Promise<void>;
  /** Ends at once; everything in flight settles with PAIPAI_ERR_PEER_CLOSED and `error` as its cause. */
  destroy(error?: Error): void;
  ref(): void;
  unref(): void;
}

/** What came in through a sink: how many bytes, and the CRC32C of them all. */
export interface Received {
  readonly bytes: number;
  readonly crc32c: number;
  /** What the other side said with its end. */
  readonly trailer: Uint8Array;
}

/** A byte stream with credit. Each direction ends on its own; `reset` ends both. */
export interface PeerStream {
  readonly id: number;
  readonly peer: Peer;
  readonly method: string;
  readonly metadata: Uint8Array;
  /** Fires when the stream is reset, its deadline passes, or the connection ends. */
  readonly signal: AbortSignal;

  /**
   * Waits for credit, sends, settles when the system has taken every byte (not when the peer has them). Leave `bytes` unchanged
   * until then. Writes go out in the order of the calls. Fails with the reset's code, PAIPAI_ERR_PEER_CLOSED, _DEADLINE, _ABORTED.
   * A write that has begun settles only when the channel holds none of its bytes any more, also after a reset or a deadline;
   * `signal` fires at once.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** CRC32C of everything whose `write` has settled: known from sending, without another look at the bytes. */
  readonly sentCrc32c: number;
  /** Ends our direction, with a trailer of at most 64 KiB that the other side gets after the last byte. */
  end(trailer?: Uint8Array): void;
  /** The trailer of the other side's end. Rejects as `write` does. */
  readonly ended: Promise<Uint8Array>;

  /**
   * Grants credit for `target.byteLength`, below 4 GiB, and lets the bytes land there without a copy on the way. Settles at the other side's end,
   * with fewer bytes when it sent fewer. Call it instead of iterating, in the turn in which the stream was handed over.
   */
  receiveInto(target: Uint8Array, onProgress?: (landedBytes: number) => void): Promise<Received>;
  /** Chunks, safe to keep; credit returns as they are taken. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array>;

  /** Gives the stream up in both directions; the other side sees the error's code, unless both have ended. What was not read yet is dropped. */
  reset(error: Error): void;
}

export interface HeartbeatOptions {
  /** Default: a third of `timeoutMs`, or 10,000. */
  intervalMs?: number;
  /** Default: three times `intervalMs`. */
  timeoutMs?: number;
}

export interface SessionOptions extends ChannelOptions {
  /** 1 to 255 bytes; both sides must agree. Default 'default'. */
  netName?: string;
  /** 1 to 255 bytes. */
  nodeId: string;
  /** Shared by the whole net: both sides prove it by HMAC-SHA256; it proves who joins, it hides nothing. At least 16 bytes. */
  secret?: Uint8Array | string;
  service?: PeerService;
  /** For a request without its own. Default 30,000. */
  deadlineMs?: number;
  /** Default 5,000. */
  handshakeTimeoutMs?: number;
  /** Bytes of streams under way to us on one connection, and of requests we serve: each 1 MiB to 4 GiB. Default 64 MiB. */
  inFlightBytesMax?: number;
  /** Credit of one stream that is iterated: 64 KiB to 64 MiB. Default 1 MiB. */
  streamWindowBytes?: number;
  /** Requests we serve at once for one peer before PAIPAI_ERR_OVERLOADED. Default 4,096. */
  requestsInFlightMax?: number;
  /** Requests we make that wait for their answers, before PAIPAI_ERR_OVERLOADED here: 1 to 16,777,216. Default 1,048,576. */
  requestsPendingMax?: number;
  /** Streams that each side may have open at once on one connection; one counts until its `onStream` has settled. Default 1,024. */
  streamsMax?: number;
  /** Bytes of requests and messages that may wait for the peer to read: 64 KiB to 4 GiB. More is PAIPAI_ERR_BACK_PRESSURE. Default: no limit. */
  queuedBytesMax?: number;
  /**
   * Pings a peer when either side has been silent for `intervalMs`, and ends the connection, with PAIPAI_ERR_PEER_CLOSED, before the peer
   * has been for more than `timeoutMs`, which is at least twice the interval. Default false: silence is no fault.
   */
  heartbeat?: HeartbeatOptions | false;
}

export interface ListenOptions extends SessionOptions {
  /** Connections that have not finished the handshake. Default 1,024; more are closed at once. */
  handshakesMax?: number;
}

export interface PeerListener extends AsyncDisposable {
  /** `tcp://…` or `unix://…`, with the port that the system chose. */
  readonly address: string;
  readonly peers: ReadonlySet<Peer>;
  /** Takes a channel in as if it had come to the address. */
  accept(channel: FrameChannel): void;
  /** Stops accepting and closes every peer. */
  close(graceMs?: number): Promise<void>;
}
