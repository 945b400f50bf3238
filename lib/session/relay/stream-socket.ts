import { Duplex } from 'node:stream';
import { PaipaiError } from '../../base/errors.js';
import type { PeerStream } from '../types.js';

type OnDone = (error?: Error | null) => void;

/**
 * A stream of a session as a socket of bytes. What is written waits for the credit of the other side, and nothing is read ahead of who takes it,
 * so that neither end buffers more than the window of the stream. It is reset when it is destroyed before both directions have ended, and closed when
 * nothing refers to what was written any more: the connection of the stream may hold some of it for as long as its other side does not read.
 */
export class StreamSocket extends Duplex {
  readonly #stream: PeerStream;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #onGone = (): void => void this.destroy(this.#stream.signal.reason);
  #isReading = false;
  /** Never rejects. */
  #writing: Promise<void> | undefined;

  constructor(stream: PeerStream) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    this.#chunks = stream[Symbol.asyncIterator]();
    const { signal } = stream;
    signal.addEventListener('abort', this.#onGone, { once: true });
    if (signal.aborted) this.#onGone();
  }

  /** The session of the stream keeps the process alive, or not. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {
    if (!this.#isReading) void this.#readOn();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, onDone: OnDone): void {
    this.#writing = this.#stream.write(chunk).then(() => onDone(), onDone);
  }

  override _writev(chunks: { chunk: Uint8Array }[], onDone: OnDone): void {
    const writes = chunks.map(({ chunk }) => this.#stream.write(chunk));
    // Each of them: those that fail at once do not tell when the connection lets go of the others.
    this.#writing = Promise.allSettled(writes).then((settled) => {
      const failed = settled.find((write) => write.status === 'rejected');
      onDone(failed?.reason);
    });
  }

  override _final(onDone: OnDone): void {
    this.#stream.end();
    onDone();
  }

  override _destroy(error: Error | null, onDone: OnDone): void {
    const { signal } = this.#stream;
    signal.removeEventListener('abort', this.#onGone);
    // Of one that is over, or was reset by the other side, this drops at most what nobody has read.
    this.#stream.reset(error ?? gone());
    if (this.#writing === undefined) onDone(error);
    else void this.#writing.then(() => onDone(error));
  }

  /** Never rejects. */
  async #readOn(): Promise<void> {
    this.#isReading = true;
    try {
      for (let goesOn = true; goesOn; ) {
        const { done, value } = await this.#chunks.next();
        goesOn = this.push(done === true ? null : value) && done !== true;
      }
    } catch (thrown) {
      this.destroy(thrown as Error); // A stream fails with a PaipaiError.
    }
    this.#isReading = false;
  }
}

function gone(): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PEER_CLOSED', 'the other side has ended the connection');
}
