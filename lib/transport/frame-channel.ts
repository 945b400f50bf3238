import type { Env } from '../base/env.js';
import type { Address } from './address.js';

/**
 * The seam between engines and session: an ordered, checked, bounded pipe of frames to one peer.
 * Engines differ only in turning bytes into frames; they stamp and check sequence numbers and checksums.
 * Everything above (hello, requests, streams, credit, deadlines) is the session, written once.
 */

/** One received frame. The object is reused: read it during `onFrame` only. */
export interface FrameView {
  type: number;
  flags: number;
  name: number;
  streamId: number;
  argument: number;
  /** The payload is `bytes[start..end)`. Borrowed: gone when `onFrame` returns, unless `owned`. */
  bytes: Uint8Array;
  start: number;
  end: number;
  /** The payload is all of `bytes`, which nobody else refers to; the receiver may keep it without a copy. */
  owned: boolean;
}

export interface FrameReceiver {
  onFrame(frame: FrameView): void;
  /**
   * A whole frame of several (see `several.ts` of the wire), checked. True: taken. False, or no such method: its payloads are told
   * one by one, each as the frame that it would be alone.
   */
  onSeveral?(frame: FrameView): boolean;
  /**
   * Bytes of STREAM_DATA frames that went straight into the sink of `streamId`; called when it is full, at least each MiB, when
   * nothing more has come, before any later frame of that stream, and before the end. `landedBytes` and `crc32c` cover
   * everything since the sink was set, all of it checked.
   */
  onSink(streamId: number, landedBytes: number, crc32c: number): void;
  /** `queuedBytes` fell below the low mark after it had been above the high mark. */
  onDrain(): void;
  /** The end, exactly once, nothing follows. `null`: closed in order; an Error says why not. */
  onClose(error: Error | null): void;
}

/** Bulk is with the system (null), or will never be. `crc32c` is that of all its bytes, known for having been sent; else 0. */
export type OnBulkSent = (error: Error | null, crc32c: number) => void;

export type EngineName = 'native' | 'js';
/** 'hub': in a stream of another session, which a node in between passes on. */
export type ChannelPath = 'tcp' | 'unix' | 'shm' | 'memory' | 'hub';

/**
 * How a channel moves from its socket to shared memory, before the first frame of its session: the side that listened opens a
 * door, the other enters it, the first takes what was put there. From then on each direction follows its own SWITCH frame,
 * which the engine sends and which arrives like any other. What answers false has changed nothing.
 */
export interface SharedMemory {
  /** The same in two processes that can share memory: of one host, one network namespace, one user. */
  readonly hostId: string;
  /** @param name 1 to 100 characters, not to be guessed */
  open(name: string): boolean;
  /** @param token 32 unpredictable bytes, the same as for `take` */
  enter(name: string, token: Uint8Array): boolean;
  take(token: Uint8Array): boolean;
  /** It came to nothing. */
  drop(): void;
  /** Both sides have agreed: `path` says so from here on. */
  moved(): void;
}

export interface FrameChannel {
  readonly engine: EngineName | 'memory';
  readonly path: ChannelPath;
  /** Null: this engine has none, or the option `path` pins the channel to its socket. */
  readonly sharedMemory: SharedMemory | null;
  /** Address of the other side for people, as in `tcp://127.0.0.1:7100`. */
  readonly remoteAddress: string;
  /** Bytes taken to be sent that the system has not taken yet, headers included. */
  readonly queuedBytes: number;
  /** Frames arrive only while a receiver is set; set it in the turn in which the channel is handed over. */
  receiver: FrameReceiver | null;

  /**
   * Queues one frame; it leaves with the batch of this turn of the loop. Its payload is `bytes`, from `start` to `end` where that is
   * said. Payloads up to `copyBytesMax` are copied, larger
   * ones are referenced: leave those unchanged until the answer has come. Ignored after close.
   * @throws PaipaiError PAIPAI_ERR_FRAME_TOO_LARGE above the frame limit.
   */
  send(
    type: number,
    flags: number,
    name: number,
    streamId: number,
    argument: number,
    bytes?: Uint8Array,
    start?: number,
    end?: number,
  ): void;

  /**
   * `send` of one frame with a payload above `copyBytesMax`, which is referenced until `onSent` is called as by `sendBulk`. Missing where
   * a copy costs no more.
   */
  sendByReference?(
    type: number,
    name: number,
    streamId: number,
    argument: number,
    bytes: Uint8Array,
    onSent: OnBulkSent,
  ): void;

  /**
   * Takes back the `bytes` of an owned frame, to receive another in: nobody must look at them any more. Also when the channel is closed.
   * Missing where that saves nothing.
   */
  reuse?(bytes: Uint8Array): void;

  /**
   * Queues messages of topic `name`, all of `payloadBytes`, at most `gatheredBytesMax`, one behind the other in `payloads`, which are
   * copied. Missing where one `send` for each costs no more.
   */
  sendMany?(name: number, payloads: Uint8Array, payloadBytes: number): void;

  /**
   * Queues `bytes` as STREAM_DATA frames of at most `bulkChunkBytes` each, behind everything that `send` queues (the bulk lane):
   * a frame from `send` waits for at most one of them. The bytes are referenced, not copied, until `onSent` is called:
   * exactly once, with null when the system has taken them all, or with the reason when the channel closed before.
   */
  sendBulk(streamId: number, bytes: Uint8Array, onSent: OnBulkSent): void;

  /**
   * Queues one frame in the bulk lane, behind what `sendBulk` and this have queued there; it is not cut, so a frame from `send` may wait
   * for all of it. The payload is referenced, whatever its length, until `onSent` is called as by `sendBulk`.
   * @throws PaipaiError PAIPAI_ERR_FRAME_TOO_LARGE above the frame limit; `onSent` is not called then.
   */
  sendBulkFrame(type: number, name: number, bytes: Uint8Array, onSent: OnBulkSent): void;

  /**
   * Payloads of STREAM_DATA frames on `streamId` go straight into `target`, one behind the other, and are reported by `onSink`.
   * The channel holds `target` until `clearSink` or its end. More bytes than fit close the connection: PAIPAI_ERR_SINK_OVERFLOW.
   */
  setSink(streamId: number, target: Uint8Array): void;
  clearSink(streamId: number): void;

  /**
   * Longest payload taken from the peer from now on, at most the channel's own limit; more is PAIPAI_ERR_FRAME_TOO_LARGE, said
   * before memory is taken for it. What we send is not concerned.
   */
  limitReceived(frameBytesMax: number): void;

  /**
   * Calls back once, when every frame that came together with this one has been told and before their bytes are gone. Call it in
   * `onFrame`. Missing where each frame's bytes are gone when `onFrame` returns.
   */
  afterBatch?(callback: () => void): void;

  /** Hands what is queued to the system now instead of at the end of this turn. */
  flush(): void;
  /** Stops and starts reading from the peer; frames already read may still arrive. */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then ends. `onClose` follows. */
  close(): void;
  /** Ends at once; what is queued is lost. `onClose(error ?? null)` follows in a later turn. */
  destroy(error?: Error): void;
  /** Whether this open channel keeps the process alive (as in Node, it does by default). */
  ref(): void;
  unref(): void;
}

export interface ChannelOptions {
  /** Longest payload of one frame in bytes, both ways: 1 KiB to 64 MiB, default 16 MiB. */
  frameBytesMax?: number;
  /** For `connect`: gives up with PAIPAI_ERR_DEADLINE. Default 10,000. */
  connectTimeoutMs?: number;
  signal?: AbortSignal;
  /**
   * How long after a message the loop looks for the next one without sleeping, while this channel or listener, or one accepted
   * by it, is open: up to 10,000,000. Default 0: it sleeps. Engines that cannot do it do not.
   */
  spinMicroseconds?: number;
  /**
   * `'auto'`, the default: shared memory where both sides can, else the socket. The scheme of the address: that socket, whatever
   * else there is.
   */
  path?: PathChoice;
  /** Whether TCP sends small packets at once. Default true. */
  noDelay?: boolean;
  /** How long a TCP connection may be silent before the system asks whether the other side is still there; 0 is never. Default 0. */
  keepAliveMs?: number;
}

export type PathChoice = 'auto' | 'tcp' | 'unix';

export interface FrameListener {
  /** Where it listens; a port of 0 is replaced by the one the system chose. */
  readonly address: Address;
  /** Stops accepting; open channels stay. A Unix socket's file is removed. */
  close(): Promise<void>;
  ref(): void;
  unref(): void;
}

/** An engine, or a simulated network: opens frame channels. */
export interface Network {
  readonly engine: EngineName | 'memory';
  /** Fails with the system's error (ECONNREFUSED, ENOENT …), PAIPAI_ERR_DEADLINE or PAIPAI_ERR_ABORTED. */
  connect(address: Address, options?: ChannelOptions): Promise<FrameChannel>;
  /** `onChannel` must set `receiver` before it returns. Fails with the system's error (EADDRINUSE …). */
  listen(
    address: Address,
    onChannel: (channel: FrameChannel) => void,
    options?: ChannelOptions,
  ): Promise<FrameListener>;
}

export interface NetworkEnv extends Env {
  readonly network: Network;
}
