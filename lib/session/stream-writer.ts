import { PaipaiError } from '../base/errors.js';
import { combineCrc32c } from '../wire/crc32c.js';
import { FrameType } from '../wire/frame.js';
import { peerClosed } from './failures.js';
import type { Link } from './link.js';

/**
 * What one stream has at the channel at a time, and in one piece of it. The lane serves whole pieces in turn, so this is what
 * another stream waits for, and what still travels of a stream that is given up; it is enough to keep a line busy.
 */
const underWayBytesMax = 2 * 1024 * 1024;
const pieceBytesMax = 1024 * 1024;

/** One call of `write`. Its pieces refer to the caller's bytes until the channel is done with them. */
interface Write {
  readonly bytes: Uint8Array;
  handedBytes: number;
  piecesUnderWay: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * The outgoing half of a stream. All data go through the channel's bulk lane, small ones too, since the other lane would
 * overtake them; the end follows when the system has taken the last of them.
 */
export class StreamWriter {
  readonly #link: Link;
  readonly #id: number;
  readonly #onEnded: () => void;
  #creditBytes = 0;
  #sentBytes = 0;
  #sentCrc32c = 0;
  /** Writes that still have bytes to hand over, in order. */
  readonly #waiting: Write[] = [];
  #underWayBytes = 0;
  /** Set by `end`; sent when nothing is under way. */
  #trailer: Uint8Array | null = null;
  #hasEnded = false;
  #failure: Error | null = null;

  constructor(link: Link, id: number, onEnded: () => void) {
    this.#link = link;
    this.#id = id;
    this.#onEnded = onEnded;
  }

  /** Whether the end has been sent. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** CRC32C of what has left. */
  get sentCrc32c(): number {
    return this.#sentCrc32c;
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) throw this.#failure;
      if (this.#trailer !== null) throw afterEnd('write');
      if (bytes.length === 0) return resolve();
      this.#waiting.push({ bytes, handedBytes: 0, piecesUnderWay: 0, resolve, reject });
      this.#handOver();
    });
  }

  /** @throws PaipaiError PAIPAI_ERR_INVALID_STATE when called twice. */
  end(trailer: Uint8Array): void {
    if (this.#failure !== null) return;
    if (this.#trailer !== null) throw afterEnd('end');
    this.#trailer = trailer;
    this.#endIfDone();
  }

  addCredit(byteCount: number): void {
    this.#creditBytes += byteCount;
    this.#handOver();
  }

  /**
   * Rejects every write: at once, but for those of which the channel still holds a piece. They settle when it lets go, as
   * a caller that reuses its bytes earlier would change what is being sent.
   */
  fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const write of this.#waiting) {
      if (write.piecesUnderWay === 0) write.reject(error);
    }
    this.#waiting.length = 0;
  }

  #handOver(): void {
    for (let write = this.#waiting[0]; write !== undefined; write = this.#waiting[0]) {
      if (this.#creditBytes === 0 || this.#underWayBytes >= underWayBytesMax) return;
      const start = write.handedBytes;
      const end = Math.min(write.bytes.length, start + Math.min(this.#creditBytes, pieceBytesMax));
      this.#creditBytes -= end - start;
      this.#sentBytes += end - start;
      write.handedBytes = end;
      write.piecesUnderWay++;
      this.#underWayBytes += end - start;
      if (end === write.bytes.length) this.#waiting.shift();
      const handed = write;
      this.#link.sendBulk(this.#id, write.bytes.subarray(start, end), (error, crc32c) => {
        this.#underWayBytes -= end - start;
        // Pieces of one stream leave in order.
        this.#sentCrc32c = combineCrc32c(this.#sentCrc32c, crc32c, end - start);
        this.#onPieceSent(handed, error);
      });
    }
  }

  #onPieceSent(write: Write, error: Error | null): void {
    write.piecesUnderWay--;
    if (error !== null) {
      this.fail(peerClosed(this.#link.channel.remoteAddress, 'write', error));
    }
    if (write.piecesUnderWay === 0) {
      if (this.#failure !== null) write.reject(this.#failure);
      else if (write.handedBytes === write.bytes.length) write.resolve();
    }
    this.#handOver();
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#trailer === null || this.#hasEnded || this.#failure !== null) return;
    if (this.#waiting.length > 0 || this.#underWayBytes > 0) return;
    this.#hasEnded = true;
    this.#link.sendFrame(
      FrameType.streamEnd,
      0,
      this.#id,
      endArgument(this.#sentBytes),
      this.#trailer,
    );
    this.#onEnded();
  }
}

/** STREAM_END tells how many bytes went before it, modulo 2^32, so that a lost or doubled chunk cannot pass for the data. */
export function endArgument(byteCount: number): number {
  return byteCount % 0x1_0000_0000;
}

function afterEnd(what: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_INVALID_STATE',
    `${what}: end was called on this stream before`,
  );
}
