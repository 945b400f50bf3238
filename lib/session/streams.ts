import { checkDuration, checkSignal } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import type { FrameView } from '../transport/frame-channel.js';
import { decodeError } from '../wire/error-payload.js';
import { FrameType, metadataBytesMax } from '../wire/frame.js';
import { deadlineArgument } from './calls.js';
import { CreditBudget } from './credit.js';
import { aborted, asPaipaiError, peerClosed, protocolError, sessionClosed } from './failures.js';
import { hasUsed, idAfter } from './ids.js';
import type { Session } from './link.js';
import { keepPayload, noBytes, viewPayload } from './payload.js';
import { checkMetadata, SessionStream, type StreamKeeper } from './stream.js';
import type { PeerStream, RequestOptions } from './types.js';

const creditBytesMax = 0x7fff_ffff;

/** The streams of one connection, whoever opened them. */
export class Streams implements StreamKeeper {
  readonly #link: Session;
  readonly #budget: CreditBudget;
  readonly #streams = new Map<number, SessionStream>();
  /** Those of the peer whose `onStream` has not settled; one that is over still counts then. */
  readonly #served = new Set<SessionStream>();
  #ownCount = 0;
  #peerCount = 0;

  constructor(link: Session) {
    this.#link = link;
    // Each side may open `streamsMax`.
    this.#budget = new CreditBudget(link.settings.inFlightBytesMax, 2 * link.settings.streamsMax);
  }

  get count(): number {
    return this.#streams.size;
  }

  open(
    method: string,
    metadata: Uint8Array | undefined,
    options: RequestOptions | undefined,
  ): PeerStream {
    const link = this.#link;
    const tried = `stream '${method}'`;
    link.checkOpen(tried);
    const bytes = metadata === undefined ? noBytes : checkMetadata('metadata', metadata);
    const { deadlineMs: asked = Infinity } = options ?? {};
    const deadlineMs = checkDuration('deadlineMs', asked, true);
    const signal = checkSignal('signal', options?.signal);
    if (signal?.aborted) throw aborted(tried, signal);
    if (this.#ownCount >= link.settings.streamsMax) throw this.#overloaded(method);
    const id = idAfter(link.lastOwnId);
    const nameIndex = link.nameIndex('method', method);
    link.sendFrame(FrameType.streamOpen, nameIndex, id, deadlineArgument(deadlineMs), bytes);
    link.lastOwnId = id | 0;
    this.#ownCount++;
    const stream = this.#add(id, method, bytes, deadlineMs);
    if (signal !== undefined) stream.listen(signal);
    return stream;
  }

  onOpen(frame: FrameView, method: string): void {
    const id = frame.streamId;
    this.#link.acceptPeerId('stream', id);
    checkLength('metadata', frame);
    const refusal = this.#refusalOf(method);
    if (refusal !== null) {
      this.#link.checkFlood();
      this.#link.sendFailure(FrameType.streamReset, id, refusal);
      return;
    }
    const deadlineMs = frame.argument === 0 ? Infinity : frame.argument;
    this.#peerCount++;
    const stream = this.#add(id, method, keepPayload(frame), deadlineMs);
    void this.#serve(stream);
  }

  onData(frame: FrameView): void {
    this.#find(frame.streamId)?.onData(frame);
  }

  onSink(streamId: number, landedBytes: number, crc32c: number): void {
    this.#streams.get(streamId)?.onSink(landedBytes, crc32c);
  }

  onEnd(frame: FrameView): void {
    checkLength('trailer', frame);
    this.#find(frame.streamId)?.onEnd(keepPayload(frame), frame.argument);
  }

  onReset(frame: FrameView): void {
    const stream = this.#find(frame.streamId);
    stream?.fail(decodeError(frame.argument, viewPayload(frame)));
  }

  onCredit(frame: FrameView): void {
    const byteCount = frame.argument;
    if (byteCount < 1 || byteCount > creditBytesMax) {
      throw protocolError(`credit of ${byteCount} bytes for stream ${frame.streamId}`);
    }
    this.#find(frame.streamId)?.addCredit(byteCount);
  }

  /** The connection is over. */
  failAll(cause: Error | null): void {
    this.#budget.close();
    for (const stream of [...this.#streams.values()]) {
      const tried = `stream '${stream.method}'`;
      stream.fail(peerClosed(this.#link.channel.remoteAddress, tried, cause));
    }
  }

  onOver(stream: SessionStream): void {
    this.#streams.delete(stream.id);
    if (!hasUsed(this.#link.lastPeerId, stream.id)) this.#ownCount--;
    else if (!this.#served.has(stream)) this.#peerCount--;
    if (!this.#link.open) this.#link.onDone();
  }

  sendReset(stream: SessionStream, error: PaipaiError): void {
    this.#link.sendFailure(FrameType.streamReset, stream.id, error);
  }

  #add(id: number, method: string, metadata: Uint8Array, deadlineMs: number): SessionStream {
    const stream = new SessionStream(
      this.#link,
      this,
      this.#budget,
      this.#link,
      id,
      method,
      metadata,
      deadlineMs,
    );
    this.#streams.set(id, stream);
    return stream;
  }

  /** The stream of this id; undefined for one that is over. @throws PaipaiError PAIPAI_ERR_PROTOCOL */
  #find(id: number): SessionStream | undefined {
    const stream = this.#streams.get(id);
    const { lastOwnId, lastPeerId } = this.#link;
    if (stream === undefined && !hasUsed(lastOwnId, id) && !hasUsed(lastPeerId, id)) {
      throw protocolError(`a frame for stream ${id}, which was never opened`);
    }
    return stream;
  }

  #refusalOf(method: string): PaipaiError | null {
    const { settings, open } = this.#link;
    if (!open) return sessionClosed('the other side', `stream '${method}'`);
    if (typeof settings.service.onStream !== 'function') {
      return new PaipaiError('PAIPAI_ERR_METHOD_UNKNOWN', `no stream '${method}' is served`, {
        method,
      });
    }
    return this.#peerCount >= settings.streamsMax ? this.#overloaded(method) : null;
  }

  #overloaded(method: string): PaipaiError {
    return new PaipaiError(
      'PAIPAI_ERR_OVERLOADED',
      `stream '${method}': ${this.#link.settings.streamsMax} streams are open already`,
      { method },
    );
  }

  /** Never rejects: what the service throws resets the stream. */
  async #serve(stream: SessionStream): Promise<void> {
    this.#served.add(stream);
    try {
      // `#refusalOf` has seen that it is there.
      await this.#link.settings.service.onStream?.(stream);
    } catch (error) {
      stream.reset(asPaipaiError(error, 'PAIPAI_ERR_REMOTE'));
    }
    this.#served.delete(stream);
    if (!this.#streams.has(stream.id)) this.#peerCount--;
  }
}

function checkLength(what: string, frame: FrameView): void {
  const byteCount = frame.end - frame.start;
  if (byteCount <= metadataBytesMax) return;
  throw protocolError(`${what} of ${byteCount} bytes for stream ${frame.streamId}`);
}
