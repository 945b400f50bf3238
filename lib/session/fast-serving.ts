import { PaipaiError } from '../base/errors.js';
import type { FrameView } from '../transport/frame-channel.js';
import { FrameType } from '../wire/frame.js';
import { Batch } from './batch.js';
import { sessionClosed } from './failures.js';
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
    const known = isRequest ? this.#methods : this.#topics;
    const handler = known[frame.name] ?? this.#find(known, isRequest, frame.name);
    if (handler === null) return false;
    if (isRequest) this.#serving.acceptId(frame.streamId);
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
    batch.push(frame.start, frame.end, frame.streamId, frame.argument);
    // Its bytes are gone when this call returns.
    if (this.#link.channel.afterBatch === undefined || frame.owned) this.flush();
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

  #call(handler: Handler, batch: Batch): void {
    try {
      handler(batch);
      if (this.#isRequests && batch.hasUnsettled) batch.failRest(noAnswer());
    } catch (error) {
      if (this.#isRequests) batch.failRest(error);
      else this.#link.noteHandlerFailure('a fast topic', error);
    }
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
    if (link.open && !link.isClogged) return null;
    const tried = `request '${this.#batch.name}'`;
    if (!link.open) return sessionClosed('the other side', tried);
    link.checkFlood();
    return new PaipaiError('PAIPAI_ERR_OVERLOADED', `${tried}: earlier answers wait to be read`);
  }
}

function noAnswer(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_REMOTE',
    'the handler of the batch has neither answered nor deferred this request',
  );
}
