import { checkBytes, invalidArgument } from '../base/check.js';
import type { PaipaiError } from '../base/errors.js';
import type { FrameView } from '../transport/frame-channel.js';
import { checkPayloadBytes } from '../transport/limits.js';
import { metadataBytesMax } from '../wire/frame.js';
import type { CreditBudget } from './credit.js';
import { Expiring } from './deadlines.js';
import { aborted, asPaipaiError, deadlinePassed } from './failures.js';
import type { Link } from './link.js';
import { noBytes } from './payload.js';
import { StreamReader } from './stream-reader.js';
import { StreamWriter } from './stream-writer.js';
import type { Peer, PeerStream, Received } from './types.js';

/** The addon tells in 32 bits what has landed. */
const targetBytesMax = 2 ** 32 - 1;

/** What a stream needs of those that keep it. */
export interface StreamKeeper {
  /** Both directions have ended, or the stream has failed: it is out of use. */
  onOver(stream: SessionStream): void;
  /** Tells the peer that the stream is given up. */
  sendReset(stream: SessionStream, error: PaipaiError): void;
}

export class SessionStream extends Expiring implements PeerStream {
  readonly id: number;
  readonly peer: Peer;
  readonly method: string;
  readonly metadata: Uint8Array;
  readonly #link: Link;
  readonly #keeper: StreamKeeper;
  readonly #deadlineMs: number;
  readonly #writer: StreamWriter;
  readonly #reader: StreamReader;
  #controller: AbortController | null = null;
  #failure: PaipaiError | null = null;
  #isOver = false;
  #callerSignal: AbortSignal | null = null;

  constructor(
    link: Link,
    keeper: StreamKeeper,
    budget: CreditBudget,
    peer: Peer,
    id: number,
    method: string,
    metadata: Uint8Array,
    deadlineMs: number,
  ) {
    super();
    this.#link = link;
    this.#keeper = keeper;
    this.peer = peer;
    this.id = id;
    this.method = method;
    this.metadata = metadata;
    this.#deadlineMs = deadlineMs;
    const onEnded = (): void => this.#onHalfEnded();
    this.#writer = new StreamWriter(link, id, onEnded);
    this.#reader = new StreamReader(link, id, budget, onEnded, (error) => this.reset(error));
    if (deadlineMs !== Infinity) link.deadlines.set(this, deadlineMs);
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#failure !== null) this.#controller.abort(this.#failure);
    }
    return this.#controller.signal;
  }

  get ended(): Promise<Uint8Array> {
    return this.#reader.ended;
  }

  get sentCrc32c(): number {
    return this.#writer.sentCrc32c;
  }

  async write(bytes: Uint8Array): Promise<void> {
    return this.#writer.write(checkBytes('bytes', bytes));
  }

  end(trailer: Uint8Array = noBytes): void {
    const bytes = checkMetadata('trailer', trailer);
    // It may have to wait, and what waits must be sure to fit.
    checkPayloadBytes(bytes.length, this.#link.settings.frameBytesMax);
    this.#writer.end(bytes);
  }

  async receiveInto(
    target: Uint8Array,
    onProgress?: (landedBytes: number) => void,
  ): Promise<Received> {
    if (onProgress !== undefined && typeof onProgress !== 'function') {
      throw invalidArgument('onProgress', 'a function', onProgress);
    }
    const bytes = checkBytes('target', target);
    if (bytes.length > targetBytesMax) {
      throw invalidArgument('target', `at most ${targetBytesMax} bytes`, bytes.length);
    }
    return this.#reader.receiveInto(bytes, onProgress);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#reader.iterate();
  }

  reset(error: Error): void {
    const failure = asPaipaiError(error, 'PAIPAI_ERR_STREAM_RESET');
    if (this.#isOver) return this.#reader.drop(failure);
    this.#keeper.sendReset(this, failure);
    this.fail(failure);
  }

  /** Resets when the one who opened the stream aborts. */
  listen(signal: AbortSignal): void {
    this.#callerSignal = signal;
    signal.addEventListener('abort', this);
  }

  handleEvent(): void {
    // Only a signal that was set can fire.
    this.reset(aborted(`stream '${this.method}'`, this.#callerSignal as AbortSignal));
  }

  override onDeadline(): void {
    this.reset(deadlinePassed(`stream '${this.method}'`, this.#deadlineMs));
  }

  addCredit(byteCount: number): void {
    this.#writer.addCredit(byteCount);
  }

  onData(frame: FrameView): void {
    this.#reader.onData(frame);
  }

  onSink(landedBytes: number, crc32c: number): void {
    this.#reader.onSink(landedBytes, crc32c);
  }

  onEnd(trailer: Uint8Array, argument: number): void {
    this.#reader.onEnd(trailer, argument);
  }

  /** Ends both directions without a word to the peer. */
  fail(error: PaipaiError): void {
    if (this.#isOver) return;
    this.#failure = error;
    this.#writer.fail(error);
    this.#reader.fail(error);
    this.#finish();
    this.#controller?.abort(error);
  }

  #onHalfEnded(): void {
    if (this.#writer.hasEnded && this.#reader.hasEnded) this.#finish();
  }

  #finish(): void {
    this.#isOver = true;
    this.#link.deadlines.clear(this);
    this.#callerSignal?.removeEventListener('abort', this);
    this.#keeper.onOver(this);
  }
}

export function checkMetadata(name: string, value: unknown): Uint8Array {
  const bytes = checkBytes(name, value);
  if (bytes.length <= metadataBytesMax) return bytes;
  throw invalidArgument(name, `at most ${metadataBytesMax} bytes`, bytes.length);
}
