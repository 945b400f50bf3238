/**
 * Type of every function of the addon, once. Results are numbers: `>= 0` is success, the rest is for
 * `errorOfResult`. Connections and listeners are numbers above 0 that mean nothing after their end.
 * Only `handles.ts` calls these.
 */
export interface NativeBinding {
  /**
   * Sets who gets batches, called with their number of descriptors; once an environment. `wantsUring`: io_uring, or epoll where it
   * cannot be had.
   */
  open(
    onBatch: (count: number, large: ArrayBuffer[] | undefined) => void,
    wantsUring: boolean,
  ): OpenedCore;
  /** Whether io_uring can be had here; sets one up and tries it. */
  probeUring(): { works: boolean; reason: string };
  /** `port` is -1 when `host` is the path of a Unix socket. A `connected` or `closed` event follows. */
  connect(host: string, port: number, frameBytesMax: number): number;
  listen(host: string, port: number, frameBytesMax: number, backlog: number): number;
  listenerAddress(listener: number): string | undefined;
  remoteAddress(connection: number): string | undefined;
  /** Sends what the outbox holds and whatever else is queued. */
  flush(): void;
  /** One frame with its payload by reference until the `sent` event of `token`; `header` as in the outbox. */
  sendLarge(connection: number, header: Uint8Array, payload: Uint8Array, token: number): number;
  /**
   * Puts messages into the outbox, all of `payloadBytes`, at most `gatheredBytesMax`, one behind the other in `payloads`. Returns
   * how many bytes of them are still there: above 64 KiB it is emptied meanwhile.
   */
  sendMany(connection: number, name: number, payloads: Uint8Array, payloadBytes: number): number;
  sendBulk(connection: number, streamId: number, bytes: Uint8Array, token: number): number;
  /** As `sendLarge`, in the bulk lane; the payload may be empty. */
  sendBulkFrame(connection: number, header: Uint8Array, payload: Uint8Array, token: number): number;
  setSink(connection: number, streamId: number, target: Uint8Array): number;
  clearSink(connection: number, streamId: number): void;
  /** Takes the memory of a large payload back, to receive another in: nobody else has `buffer`. */
  reuse(buffer: ArrayBuffer): void;
  /** Longest payload taken from now on. */
  limitReceived(connection: number, frameBytesMax: number): void;
  /** Without what lies in the outbox. */
  queuedBytes(connection: number): number;
  pause(connection: number): void;
  /** A connection receives nothing before its first call. */
  resume(connection: number): void;
  /** Ends when everything queued is sent; a `closed` event follows. */
  shutdown(connection: number): void;
  /** Ends at once; no event follows. */
  closeConnection(connection: number): void;
  closeListener(listener: number): void;
  resumeListener(listener: number): void;
  setConnectionKeepsAlive(connection: number, keepsAlive: boolean): void;
  /** Of a TCP connection that stands; 0 ms is no keep-alive. */
  setTcpOptions(connection: number, noDelay: boolean, keepAliveMs: number): void;
  setListenerKeepsAlive(listener: number, keepsAlive: boolean): void;
  /** While it is open, the loop goes on looking without sleeping for so long after each message; the longest wish counts. */
  setConnectionSpin(connection: number, microseconds: number): void;
  setListenerSpin(listener: number, microseconds: number): void;
  /** The listening side of a move to shared memory; see `native/shm/pair.h`. */
  openDoor(connection: number, name: string): number;
  /** The connecting side. */
  enterDoor(connection: number, name: string, token: Uint8Array): number;
  /** The listening side, once the other has entered: sends SWITCH, and whatever follows by shared memory. */
  takeFromDoor(connection: number, token: Uint8Array): number;
  /** Lets go of all that, unless a direction has moved. */
  closeDoor(connection: number): void;
  /** Asks for huge pages behind `bytes`, which shards will be received into. */
  adviseHugePages(bytes: Uint8Array): void;

  /** A raw stream, a number of a kind of its own, over a copy of a connected descriptor. Receives nothing before `rawResume`. */
  rawAdopt(fd: number): number;
  /** A copy of its descriptor, which is the caller's to close, or a result. */
  rawCopyDescriptor(raw: number): number;
  /** 0: all is with the kernel. 1: a `rawDone` event of `token` follows; until then `bytes` is referenced. */
  rawWrite(raw: number, bytes: Uint8Array, token: number): number;
  /** The same for several, in an array that nobody changes. */
  rawWriteAll(raw: number, pieces: readonly Uint8Array[], token: number): number;
  /** The same for bytes of the outbox, behind what is used of it; they are copied. */
  rawWriteOutbox(raw: number, offset: number, length: number, token: number): number;
  /** Sends an end behind what waits; a `rawDone` event follows. */
  rawShutDown(raw: number, token: number): void;
  /** Lends `bytes` for one receive of bulk on a raw stream, whose `rawData` event says so; they are referenced until the next are lent. */
  rawLend(bytes: Uint8Array): void;
  /** From now on a `rawReadable` event tells that `rawRead` has something to read, in place of `rawData`. */
  rawAnnounce(raw: number): void;
  /** Bytes received into `bytes`; 0 is the end, below 0 a result, EAGAIN when there is nothing. */
  rawRead(raw: number, bytes: Uint8Array): number;
  rawResume(raw: number): void;
  rawPause(raw: number): void;
  /** Ends both directions at once; no event follows. `resets`: the other side sees a reset. */
  rawClose(raw: number, resets: boolean): void;
  rawSetKeepsAlive(raw: number, keepsAlive: boolean): void;
  rawSetNoDelay(raw: number, noDelay: boolean): number;
  rawSetKeepAlive(raw: number, keepAlive: boolean, idleSeconds: number): number;
  /** As `remoteAddress`. */
  rawAddress(raw: number, isRemote: boolean): string | undefined;
  /** -1 when it is closed. */
  rawDescriptor(raw: number): number;
  rawQueuedBytes(raw: number): number;
  rawThrow(thrown: unknown): void;
  /** Of the batch that is being delivered, or gathered for the next delivery. */
  eventCount(): number;

  /** CRC32C of what has the checksum `before`, followed by `bytes`. */
  crc32c(bytes: Uint8Array, before: number): number;
  crc32cImplementation(): string;
  /** Takes and gives the fields of `ShardHeader` in `lib/wire/shard-header.ts`; a number is a failure. */
  writeShardHeader(fields: object): Uint8Array | number;
  parseShardHeader(bytes: Uint8Array): object | number;
  /** The rows of `native/base/error_codes.def`. */
  errorCodes(): Record<string, number>;
}

/** What serves the sockets, and the memory that the addon and JS both see. */
export interface OpenedCore {
  io: IoDriver;
  /** How io_uring works here, or why it does not; empty when it was not wanted. */
  ioReason: string;
  /** Payloads of small frames, received and parsed in place; valid during one batch. */
  inbox: ArrayBuffer;
  /** `descriptorWords` u32 for each event, see `Descriptor` in `native/socket/inbound_batch.h`. */
  descriptors: ArrayBuffer;
  /** Frames to be sent, as on the wire but for what the addon stamps; the connection stands where the sequence will. */
  outbox: ArrayBuffer;
  /** Two u32: bytes used in the outbox; how often the addon has emptied it. */
  control: ArrayBuffer;
}

/** How the native engine learns what its sockets do. */
export type IoDriver = 'epoll' | 'uring';

export const descriptorWords = 8;

/** `EventKind` of `native/socket/inbound_batch.h`. */
export const EventKind = {
  frame: 0,
  largeFrame: 1,
  sink: 2,
  sent: 3,
  connected: 4,
  accepted: 5,
  closed: 6,
  drain: 7,
  listenerPaused: 8,
  rawData: 9,
  rawEnd: 10,
  rawDone: 11,
  rawReadable: 12,
} as const;

/** Frame types whose small payloads may travel together, and the types of the frames in which they do, as in `lib/wire/frame.ts`. */
export const FrameType = {
  request: 5,
  response: 6,
  message: 9,
  requests: 20,
  responses: 21,
  messages: 22,
} as const;

/** Longest payload of a frame of several. */
export const severalBytesMax: number = 16 * 1024;
/** In it, ahead of each payload, which is padded to a multiple of 8: its id, its length. */
export const severalItemBytes = 8;

/** A payload longer than this travels alone: what it saves is then little beside it. */
export const gatheredBytesMax = 1024;

export function severalOf(type: number): number {
  if (type === FrameType.request) return FrameType.requests;
  return type === FrameType.response ? FrameType.responses : FrameType.messages;
}

export function oneOf(several: number): number {
  if (several === FrameType.requests) return FrameType.request;
  return several === FrameType.responses ? FrameType.response : FrameType.message;
}

export function padded(payloadBytes: number): number {
  return (payloadBytes + 7) & ~7;
}
