import { PaipaiError } from '../base/errors.js';
import type { FrameView } from '../transport/frame-channel.js';
import { FrameType, frameHeaderBytes } from '../wire/frame.js';
import { acquireBatch, type Batch, releaseBatch } from './batch.js';
import { protocolError, sessionClosed } from './failures.js';
import type { Session } from './link.js';
import type { FastHandler, IncomingName } from './names.js';
import { viewOf } from './payload.js';
import type { Serving } from './serving.js';
import type { FastService } from './types.js';

/** Whether `frame` is of a kind that the fast surface can take. */
export function isForNames({ type, flags, streamId }: FrameView): boolean {
  if (type === FrameType.request) return flags === 0 && streamId !== 0;
  return type === FrameType.message && flags === 0 && streamId === 0;
}

/** Hands requests and messages of the names in `FastService` to their handlers, as many at once as came together. */
export class FastServing {
  readonly #link: Session;
  readonly #serving: Serving;
  readonly #service: FastService;
  readonly #onBatchEnd: () => void;
  /** What has come together; null is nothing. */
  #batch: Batch | null = null;
  #handler: FastHandler | null = null;
  #isRequests = false;

  constructor(link: Session, serving: Serving, service: FastService, onBatchEnd: () => void) {
    this.#link = link;
    this.#serving = serving;
    this.#service = service;
    this.#onBatchEnd = onBatchEnd;
  }

  /**
   * Takes a frame for `handler`, which is called with what came together, at the latest before any other frame is looked at.
   * @throws PaipaiError PAIPAI_ERR_PROTOCOL
   */
  take(frame: FrameView, name: IncomingName, handler: FastHandler): void {
    const isRequest = frame.type === FrameType.request;
    const batch = this.#batchFor(handler, isRequest, frame, name);
    if (isRequest) this.#link.acceptPeerId('request', frame.streamId);
    batch.push(frame.start, frame.end, frame.streamId, frame.argument);
    this.#flushIfLent(frame);
  }

  /** The same for a whole frame of several, which counts as its payloads would alone. */
  takeSeveral(frame: FrameView, name: IncomingName, handler: FastHandler): void {
    const isRequests = frame.type === FrameType.requests;
    const batch = this.#batchFor(handler, isRequests, frame, name);
    const before = batch.length;
    const view = viewOf(frame.bytes);
    const payloadBytes = batch.pushSeveral(view, frame.start, frame.end, frame.argument);
    for (let i = before; i < batch.length; i++) {
      const id = batch.id(i);
      if (isRequests) this.#link.acceptPeerId('request', id);
      else if (id !== 0) throw protocolError(`a message for stream ${id}`);
    }
    const count = batch.length - before;
    this.#link.framesReceived += count;
    this.#link.bytesReceived += count * frameHeaderBytes + payloadBytes;
    this.#flushIfLent(frame);
  }

  /** Calls the handler with what there is. */
  flush(): void {
    const batch = this.#batch;
    const handler = this.#handler;
    if (batch === null || handler === null) return;
    // What the handler does may bring more frames, which must not come to this batch.
    this.#batch = null;
    this.#handler = null;
    try {
      const refusal = this.#isRequests ? this.#refusal(batch) : null;
      if (refusal === null) this.#call(handler, batch, this.#isRequests);
      else batch.failRest(refusal);
    } finally {
      releaseBatch(batch);
    }
  }

  /** The session is over: what has come together is nobody's any more. */
  stop(): void {
    if (this.#batch !== null) releaseBatch(this.#batch);
    this.#batch = null;
    this.#handler = null;
  }

  /** The batch that goes to `handler` and has its bytes where `frame` has them. */
  #batchFor(
    handler: FastHandler,
    isRequests: boolean,
    frame: FrameView,
    name: IncomingName,
  ): Batch {
    const before = this.#batch;
    if (before !== null) {
      // One function may serve several names.
      const isSame =
        handler === this.#handler && name.text === before.name && isRequests === this.#isRequests;
      if (isSame && frame.bytes === before.bytes) return before;
      this.flush();
    }
    const batch = acquireBatch(this.#service.peerOf(this.#link), this.#serving);
    batch.bytes = frame.bytes;
    if (frame.owned) batch.own(this.#link.channel);
    batch.name = name.text;
    this.#batch = batch;
    this.#handler = handler;
    this.#isRequests = isRequests;
    this.#link.channel.afterBatch?.(this.#onBatchEnd);
    return batch;
  }

  /** Where the bytes are gone when the call returns, the batch must not wait for more. */
  #flushIfLent(frame: FrameView): void {
    if (this.#link.channel.afterBatch === undefined || frame.owned) this.flush();
  }

  #call(handler: FastHandler, batch: Batch, isRequests: boolean): void {
    try {
      handler(batch);
      if (isRequests && batch.hasUnsettled) batch.failRest(noAnswer());
    } catch (error) {
      if (isRequests) batch.failRest(error);
      else this.#link.noteHandlerFailure('a fast topic', error);
    }
  }

  #refusal({ name }: Batch): PaipaiError | null {
    const link = this.#link;
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
