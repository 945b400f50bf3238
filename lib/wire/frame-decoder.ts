import type { PaipaiCode } from '../base/codes.js';
import { PaipaiError } from '../base/errors.js';
import { crc32c, extendCrc32c } from './crc32c.js';
import {
  chunkBytesMax,
  FrameType,
  frameField,
  frameHeaderBytes,
  frameMagic,
  frameVersion,
  isFrameType,
  severalBytesMax,
} from './frame.js';
import { readU32 } from './little-endian.js';
import { checkSeveral, oneOf, padded, severalItemBytes } from './several.js';
import { type Sink, SinkTable } from './sinks.js';

/** One decoded frame. The object is reused: read it during `onFrame` only. */
export interface DecodedFrame {
  type: number;
  flags: number;
  name: number;
  streamId: number;
  argument: number;
  /** The payload is `bytes[start..end)`. Borrowed: gone when `onFrame` returns, unless `owned`. */
  bytes: Uint8Array;
  start: number;
  end: number;
  /** The payload sits alone in memory of its own. */
  owned: boolean;
}

export interface FrameHandler {
  onFrame(frame: DecodedFrame): void;
  /** Bytes that went straight into the sink of a stream: their count and CRC32C since the sink was set. */
  onSink(streamId: number, landedBytes: number, crc32c: number): void;
}

/** Payloads above this get memory of their own; up to it they are lent, which costs no allocation. */
export const lentPayloadBytesMax: number = 16 * 1024;

const nothing = new Uint8Array(0);

/**
 * Bytes in any cut go in, checked frames come out, in order. Checks as docs/WIRE.md orders them. A header is taken apart
 * where it lies; a payload that lies whole in the pushed bytes is lent from there; what arrives in parts is put together
 * in a scratch of 16 KiB, or in memory of its own when it is larger, or in the sink of its stream.
 */
export class FrameDecoder {
  readonly #handler: FrameHandler;
  #frameBytesMax: number;
  readonly #frame: DecodedFrame = {
    type: 0,
    flags: 0,
    name: 0,
    streamId: 0,
    argument: 0,
    bytes: nothing,
    start: 0,
    end: 0,
    owned: false,
  };
  readonly #sinks: SinkTable;
  #sequence: number;
  #stopped = false;

  readonly #header = new Uint8Array(frameHeaderBytes);
  /** Bytes of a header that arrived in parts; 0 when none is under way. */
  #headerBytes = 0;

  /** What follows is about the payload of `#frame`, from its header on until its last byte. */
  #inPayload = false;
  #payloadBytes = 0;
  #payloadCrc32c = 0;
  #arrivedBytes = 0;
  #arrivedCrc32c = 0;
  /** Arriving bytes go here from `#targetAt` on; null drops them. */
  #target: Uint8Array | null = null;
  #targetAt = 0;
  #sink: Sink | null = null;
  #scratch: Uint8Array = nothing;

  /**
   * @param frameBytesMax longest payload of one frame
   * @param firstSequence number of the frame that comes first; 0 on a new connection
   */
  constructor(handler: FrameHandler, frameBytesMax: number, firstSequence = 0) {
    this.#handler = handler;
    this.#sinks = new SinkTable((streamId, landedBytes, sum) =>
      handler.onSink(streamId, landedBytes, sum),
    );
    this.#frameBytesMax = frameBytesMax;
    this.#sequence = firstSequence;
  }

  /**
   * Takes the next bytes of the connection and calls the handler for each frame that is complete; the bytes are read during
   * the call only. Returns the reason why the connection must end, or null. After a reason nothing more is taken.
   */
  push(bytes: Uint8Array): PaipaiError | null {
    const error = this.#decode(bytes);
    if (error !== null) this.#stopped = true;
    this.#sinks.tellAll();
    return error;
  }

  /** Nothing comes any more: the reason when the bytes ended inside a frame, else null. */
  end(): PaipaiError | null {
    if (this.#stopped || (this.#headerBytes === 0 && !this.#inPayload)) return null;
    this.#stopped = true;
    const where = this.#inPayload
      ? `${this.#arrivedBytes} bytes into a payload of ${this.#payloadBytes}`
      : `${this.#headerBytes} bytes into a header`;
    return new PaipaiError('PAIPAI_ERR_FRAME_TRUNCATED', `the connection ended ${where}`);
  }

  /** No handler is called any more, also not for what was pushed already. May be called by a handler. */
  stop(): void {
    this.#stopped = true;
    this.#sinks.clearAll();
  }

  /** Longest payload taken from the next frame on. */
  limitFrames(frameBytesMax: number): void {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Payloads of STREAM_DATA on `streamId` whose header comes later go into `target`, one behind the other. */
  setSink(streamId: number, target: Uint8Array): void {
    this.clearSink(streamId);
    this.#sinks.set(streamId, target);
  }

  /** Lets go of the target at once. The rest of a payload that was landing there is checked and dropped. */
  clearSink(streamId: number): void {
    const sink = this.#sinks.clear(streamId);
    if (sink !== null && sink === this.#sink) this.#target = null;
  }

  #decode(bytes: Uint8Array): PaipaiError | null {
    let at = 0;
    let error: PaipaiError | null = null;
    while (error === null && !this.#stopped && at < bytes.length) {
      if (this.#inPayload) {
        at += this.#takePayload(bytes, at);
        if (this.#arrivedBytes === this.#payloadBytes) error = this.#finishPayload();
        continue;
      }
      if (this.#headerBytes === 0 && bytes.length - at >= frameHeaderBytes) {
        error = this.#openFrame(bytes, at);
        at += frameHeaderBytes;
      } else {
        at += this.#takeHeader(bytes, at);
        if (this.#headerBytes < frameHeaderBytes) {
          // A short answer of something else should be called what it is.
          return this.#headerBytes < 2 ? null : checkMagic(this.#header, 0);
        }
        this.#headerBytes = 0;
        error = this.#openFrame(this.#header, 0);
      }
      if (error !== null) continue;
      if (
        this.#sink === null &&
        this.#payloadBytes <= Math.min(lentPayloadBytesMax, bytes.length - at)
      ) {
        const end = at + this.#payloadBytes;
        error = this.#deliver(bytes, at, end, false, crc32c(bytes, at, end));
        at = end;
      } else {
        this.#openPayload();
      }
    }
    return error;
  }

  #takeHeader(bytes: Uint8Array, at: number): number {
    const count = Math.min(bytes.length - at, frameHeaderBytes - this.#headerBytes);
    this.#header.set(bytes.subarray(at, at + count), this.#headerBytes);
    this.#headerBytes += count;
    return count;
  }

  /** Checks the header that lies at `at` and notes what it says. */
  #openFrame(bytes: Uint8Array, at: number): PaipaiError | null {
    const error = checkHeader(bytes, at, this.#frameBytesMax, this.#sequence);
    if (error !== null) return error;
    this.#sequence = (this.#sequence + 1) >>> 0;

    const frame = this.#frame;
    frame.type = frameField.type(bytes, at);
    frame.flags = frameField.flags(bytes, at);
    frame.name = frameField.name(bytes, at);
    frame.streamId = frameField.streamId(bytes, at);
    frame.argument = frameField.argument(bytes, at);
    this.#payloadBytes = frameField.payloadBytes(bytes, at);
    this.#payloadCrc32c = frameField.payloadCrc32c(bytes, at);
    this.#sink = this.#sinkOf(frame);
    if (this.#sink === null) return null;
    const room = this.#sink.target.length - this.#sink.landedBytes;
    if (this.#payloadBytes <= room) return null;
    return new PaipaiError(
      'PAIPAI_ERR_SINK_OVERFLOW',
      `${this.#payloadBytes} bytes arrived on stream ${frame.streamId}, which has room for ${room}`,
    );
  }

  /** A frame that breaks a rule of STREAM_DATA goes to the handler instead, for the session to judge. */
  #sinkOf(frame: DecodedFrame): Sink | null {
    if (frame.type !== FrameType.streamData) return null;
    if (frame.flags !== 0 || this.#payloadBytes === 0) return null;
    return this.#sinks.get(frame.streamId);
  }

  /** Finds the place for a payload that arrives in parts, or lands in a sink. */
  #openPayload(): void {
    this.#inPayload = true;
    this.#arrivedBytes = 0;
    this.#arrivedCrc32c = 0;
    this.#targetAt = 0;
    if (this.#sink !== null) {
      this.#target = this.#sink.target;
      this.#targetAt = this.#sink.landedBytes;
    } else if (this.#payloadBytes > lentPayloadBytesMax) {
      // Pages of memory that is not cleared first cost nothing until the peer really fills them.
      this.#target = new Uint8Array(Buffer.allocUnsafeSlow(this.#payloadBytes).buffer);
    } else {
      if (this.#scratch === nothing) this.#scratch = new Uint8Array(lentPayloadBytesMax);
      this.#target = this.#scratch;
    }
  }

  #takePayload(bytes: Uint8Array, at: number): number {
    const count = Math.min(bytes.length - at, this.#payloadBytes - this.#arrivedBytes);
    this.#target?.set(bytes.subarray(at, at + count), this.#targetAt + this.#arrivedBytes);
    this.#arrivedCrc32c = extendCrc32c(this.#arrivedCrc32c, bytes, at, at + count);
    this.#arrivedBytes += count;
    return count;
  }

  #finishPayload(): PaipaiError | null {
    const target = this.#target;
    const sink = this.#sink;
    this.#inPayload = false;
    this.#target = null;
    this.#sink = null;
    if (sink === null) {
      const owned = this.#payloadBytes > lentPayloadBytesMax;
      // Only a sink that is cleared takes the target away.
      return this.#deliver(target!, 0, this.#payloadBytes, owned, this.#arrivedCrc32c);
    }
    if (this.#arrivedCrc32c !== this.#payloadCrc32c) return this.#payloadRefusal();
    if (target !== null) {
      this.#sinks.land(this.#frame.streamId, this.#payloadBytes, this.#arrivedCrc32c);
    }
    return null;
  }

  #deliver(
    bytes: Uint8Array,
    start: number,
    end: number,
    owned: boolean,
    sum: number,
  ): PaipaiError | null {
    if (sum !== this.#payloadCrc32c) return this.#payloadRefusal();
    const frame = this.#frame;
    this.#sinks.tell(frame.streamId);
    if (this.#stopped) return null;
    frame.bytes = bytes;
    frame.start = start;
    frame.end = end;
    frame.owned = owned;
    if (frame.type >= FrameType.requests) return this.#deliverSeveral();
    this.#handler.onFrame(frame);
    // The frame object lives as long as the connection; the payload must not.
    frame.bytes = nothing;
    return null;
  }

  /** Small payloads that travel together are told one by one; see `several.ts`. */
  #deliverSeveral(): PaipaiError | null {
    const frame = this.#frame;
    const { bytes, start, end, flags, name, argument } = frame;
    const error = checkSeveral(bytes, start, end, this.#frameBytesMax);
    const type = oneOf(frame.type);
    for (let at = start; error === null && at < end && !this.#stopped; ) {
      frame.type = type;
      frame.flags = flags;
      frame.name = name;
      frame.argument = argument;
      frame.streamId = readU32(bytes, at);
      frame.bytes = bytes;
      frame.start = at + severalItemBytes;
      frame.end = frame.start + readU32(bytes, at + 4);
      at = frame.start + padded(frame.end - frame.start);
      this.#handler.onFrame(frame);
    }
    frame.bytes = nothing;
    return error;
  }

  #payloadRefusal(): PaipaiError {
    return new PaipaiError(
      'PAIPAI_ERR_FRAME_PAYLOAD_CHECKSUM',
      `a payload of ${this.#payloadBytes} bytes does not match its checksum`,
    );
  }
}

function checkMagic(bytes: Uint8Array, at: number): PaipaiError | null {
  const magic = frameField.magic(bytes, at);
  if (magic === frameMagic) return null;
  const hex = magic.toString(16).padStart(4, '0');
  return new PaipaiError(
    'PAIPAI_ERR_FRAME_MAGIC',
    `a frame begins with 0x${hex} instead of 0x5050: the peer speaks something else, or a bit is flipped`,
  );
}

/** The checks of a header, in the order of docs/WIRE.md. */
function checkHeader(
  bytes: Uint8Array,
  at: number,
  frameBytesMax: number,
  sequence: number,
): PaipaiError | null {
  const error = checkMagic(bytes, at);
  if (error !== null) return error;
  const refuse = (code: PaipaiCode, message: string): PaipaiError => new PaipaiError(code, message);
  if (frameField.headerCrc32c(bytes, at) !== crc32c(bytes, at, at + 28)) {
    return refuse('PAIPAI_ERR_FRAME_HEADER_CHECKSUM', 'a frame header does not match its checksum');
  }
  const version = frameField.version(bytes, at);
  if (version !== frameVersion) {
    return refuse(
      'PAIPAI_ERR_FRAME_VERSION',
      `a frame is of version ${version}; this side reads ${frameVersion}`,
    );
  }
  const type = frameField.type(bytes, at);
  if (!isFrameType(type)) return refuse('PAIPAI_ERR_FRAME_TYPE', `no frame has type ${type}`);
  const payloadBytes = frameField.payloadBytes(bytes, at);
  let limit = frameBytesMax;
  if (type === FrameType.streamData) limit = Math.min(frameBytesMax, chunkBytesMax);
  else if (type === FrameType.switch) limit = 0;
  else if (type >= FrameType.requests) limit = severalBytesMax;
  if (payloadBytes > limit) {
    return refuse(
      'PAIPAI_ERR_FRAME_TOO_LARGE',
      `a frame announces ${payloadBytes} bytes; the limit is ${limit}`,
    );
  }
  const found = frameField.sequence(bytes, at);
  if (found !== sequence) {
    return refuse('PAIPAI_ERR_FRAME_SEQUENCE', `frame ${sequence} was due, but ${found} came`);
  }
  return null;
}
