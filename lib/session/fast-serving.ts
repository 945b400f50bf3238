import { PaipaiError } from '../base/errors.js';
import type { FrameView } from '../transport/frame-channel.js';
import { FrameType, frameHeaderBytes } from '../wire/frame.js';
import { readU32 } from '../wire/little-endian.js';
import { padded, severalItemBytes } from '../wire/several.js';
import { Batch } from './batch.js';
import { protocolError, sessionClosed } from './failures.js';
import type { Link } from './link.js';
import type { IncomingNames } from './names.js';
import type { Serving } from './serving.js';
import type { FastService, MessageBatch, Peer, RequestBatch } from './types.js';

type Handler = ((batch: RequestBatch) => void) | ((batch: MessageBatch) => void);

/** Hands requests and messages of the names in `FastService` to their handlers, as many at once as came together. */
export class FastServing {
  readonly #link: Link;
  readonly #serving: Serving;
  readonly #service: FastService;
  readonly #names: IncomingNames;
  readonly #session: Peer;
  readonly #onBatchEnd: () => void;
  /** Made for the first frame: the session's owner knows it by then. */
  #made: Batch | null = null;
  /** By the peer's index of the name; null is a name of the other surface. */
  readonly #methods: (Handler | null | undefined)[] = [];
  readonly #topics: (Handler | null | undefined)[] = [];
  #handler: Handler | null = null;
  #isRequests = false;

  constructor(
    link: Link,
    serving: Serving,
    service: FastService,
    names: IncomingNames,
    session: Peer,
    onBatchEnd: () => void,
  ) {
    this.#link = link;
    this.#serving = serving;
    this.#service = service;
    this.#names = names;
    this.#session = session;
    this.#onBatchEnd = onBatchEnd;
  }

  /**
   * Whether the frame is for a handler of this surface: then it is called with what came together, at the latest before
   * any other frame is looked at.
   * @throws PaipaiError PAIPAI_ERR_PROTOCOL
   */
  take(frame: FrameView): boolean {
    const isRequest = frame.type === FrameType.request;
    if (!isRequest && frame.type !== FrameType.message) return false;
    if (frame.flags !== 0 || (frame.streamId !== 0) !== isRequest) return false;
    const handler = this.#handlerOf(isRequest, frame.name);
    if (handler === null) return false;
    const batch = this.#batchFor(handler, isRequest, frame);
    if (isRequest) this.#serving.acceptId(frame.streamId);
    batch.push(frame.start, frame.end, frame.streamId, frame.argument);
    this.#flushIfLent(frame);
    return true;
  }

  /** The same for a whole frame of several, which counts as its payloads would alone. */
  takeSeveral(frame: FrameView): boolean {
    const isRequest = frame.type === FrameType.requests;
    if (!isRequest && frame.type !== FrameType.messages) return false;
    if (frame.flags !== 0 || frame.streamId !== 0) return false;
    const handler = this.#handlerOf(isRequest, frame.name);
    if (handler === null) return false;
    const { bytes, end: frameEnd, argument } = frame;
    const batch = this.#batchFor(handler, isRequest, frame);
    const before = batch.length;
    let payloadBytes = 0;
    for (let at = frame.start; at < frameEnd; ) {
      const id = readU32(bytes, at);
      const start = at + severalItemBytes;
      const end = start + readU32(bytes, at + 4);
      if (isRequest) this.#serving.acceptId(id);
      else if (id !== 0) throw protocolError(`a message for stream ${id}`);
      batch.push(start, end, id, argument);
      payloadBytes += end - start;
      at = start + padded(end - start);
    }
    const count = batch.length - before;
    const link = this.#link;
    link.framesReceived += count;
    link.bytesReceived += count * frameHeaderBytes + payloadBytes;
    this.#flushIfLent(frame);
    return true;
  }

  /** Calls the handler with what there is. */
  flush(): void {
    const batch = this.#made;
    const handler = this.#handler;
    if (batch === null || batch.length === 0 || handler === null) return;
    // What the handler does may bring more frames, which must not come to this batch.
    this.#handler = null;
    try {
      const refusal = this.#isRequests ? this.#refusal() : null;
      if (refusal === null) this.#call(handler, batch);
      else batch.failRest(refusal);
    } finally {
      batch.clear();
    }
  }

  /** The session is over: what has come together is nobody's any more. */
  stop(): void {
    this.#handler = null;
  }

  get #batch(): Batch {
    this.#made ??= new Batch(this.#service.peerOf(this.#session), this.#serving);
    return this.#made;
  }

  /** The batch that goes to `handler` and has its bytes where `frame` has them. */
  #batchFor(handler: Handler, isRequest: boolean, frame: FrameView): Batch {
    const batch = this.#batch;
    if (batch.length > 0 && (handler !== this.#handler || frame.bytes !== batch.bytes))
      this.flush();
    if (batch.length === 0) {
      this.#handler = handler;
      this.#isRequests = isRequest;
      batch.bytes = frame.bytes;
      batch.name = this.#names.nameOf(frame.name);
      this.#link.channel.afterBatch?.(this.#onBatchEnd);
    }
    return batch;
  }

  /** Where the bytes are gone when the call returns, the batch must not wait for more. */
  #flushIfLent(frame: FrameView): void {
    if (this.#link.channel.afterBatch === undefined || frame.owned) this.flush();
  }

  #call(handler: Handler, batch: Batch): void {
    try {
      handler(batch);
      if (this.#isRequests && batch.hasUnsettled) batch.failRest(noAnswer());
    } catch (error) {
      if (this.#isRequests) batch.failRest(error);
      else this.#link.noteHandlerFailure('a fast topic', error);
    }
  }

  #handlerOf(isRequest: boolean, name: number): Handler | null {
    const known = isRequest ? this.#methods : this.#topics;
    const handler = known[name];
    return handler !== undefined ? handler : this.#find(known, isRequest, name);
  }

  #find(known: (Handler | null | undefined)[], isRequest: boolean, index: number): Handler | null {
    const name = this.#names.nameOf(index);
    const handlers: ReadonlyMap<string, Handler> = isRequest
      ? this.#service.methods
      : this.#service.topics;
    const handler = handlers.get(name) ?? null;
    known[index] = handler;
    return handler;
  }

  #refusal(): PaipaiError | null {
    const link = this.#link;
    const { name } = this.#batch;
    if (!link.open) return sessionClosed('the other side', `request '${name}'`);
    const tooMany = this.#serving.countRefusal(name);
    if (tooMany === null && !link.isClogged) return null;
    link.checkFlood();
    if (tooMany !== null) return tooMany;
    return new PaipaiError(
      'PAIPAI_ERR_OVERLOADED',
      `request '${name}': earlier answers wait to be read`,
    );
  }
}

function noAnswer(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_REMOTE',
    'the handler of the batch has neither answered nor deferred this request',
  );
}
