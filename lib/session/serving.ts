import { checkBytes } from '../base/check.js';
import { codeNumbers } from '../base/codes.js';
import { deferred } from '../base/deferred.js';
import { PaipaiError, toError } from '../base/errors.js';
import type { FrameView } from '../transport/frame-channel.js';
import { FrameType, frameHeaderBytes } from '../wire/frame.js';
import { padded, severalItemBytes } from '../wire/several.js';
import { Expiring } from './deadlines.js';
import { deadlinePassed, peerClosed, protocolError, sessionClosed } from './failures.js';
import { type Chained, IdTable } from './id-table.js';
import { hasUsed } from './ids.js';
import type { Link, Session } from './link.js';
import { keepPayload, noBytes, ownPayload, viewOf } from './payload.js';
import type { DeferredAnswer, IncomingRequest, Peer } from './types.js';

/** A request of the peer. What is rarely asked for, its `signal`, is made when it is asked for. */
class ServedRequest extends Expiring implements IncomingRequest, Chained<ServedRequest> {
  readonly id: number;
  nextInChain: ServedRequest | null = null;
  readonly peer: Peer;
  readonly method: string;
  readonly payload: Uint8Array;
  readonly deadlineMs: number;
  readonly #link: Link;
  #controller: AbortController | null = null;
  /** Why nobody waits for the answer any more. */
  #reason: Error | null = null;
  #isTimed = false;

  constructor(
    link: Link,
    peer: Peer,
    id: number,
    method: string,
    payload: Uint8Array,
    deadlineMs: number,
  ) {
    super();
    this.#link = link;
    this.peer = peer;
    this.id = id;
    this.method = method;
    this.payload = payload;
    this.deadlineMs = deadlineMs;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
      else this.startDeadline();
    }
    return this.#controller.signal;
  }

  get isAbandoned(): boolean {
    return this.#reason !== null;
  }

  /** A handler that answers at once never needs it, so it starts with the first use of `signal` or with the wait. */
  startDeadline(): void {
    if (this.#isTimed || this.deadlineMs === Infinity) return;
    this.#isTimed = true;
    this.#link.deadlines.setGathered(this, this.deadlineMs);
  }

  override onDeadline(): void {
    this.abandon(deadlinePassed(`request '${this.method}'`, this.deadlineMs));
  }

  abandon(reason: Error): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#link.deadlines.clear(this);
    this.#controller?.abort(reason);
  }

  finish(): void {
    if (this.#isTimed) this.#link.deadlines.clear(this);
  }
}

/** The requests the peer makes. */
export class Serving {
  readonly #link: Session;
  /** Those whose handler has returned a promise; made with the first. */
  #inFlight: IdTable<ServedRequest> | null = null;
  /** Of their payloads. */
  #payloadBytes = 0;

  constructor(link: Session) {
    this.#link = link;
  }

  get count(): number {
    return this.#inFlight?.size ?? 0;
  }

  // `BatchAnswers`.

  reply(id: number, bytes: Uint8Array): void {
    this.#link.sendFrame(FrameType.response, 0, id, 0, ownPayload(checkBytes('bytes', bytes)));
  }

  replyRange(id: number, bytes: Uint8Array, start: number, end: number): void {
    this.#link.sendAnswer(id, bytes, start, end);
  }

  fail(id: number, error: unknown): void {
    this.#link.sendFailure(FrameType.error, id, error);
  }

  defer(id: number, method: string, deadlineMs: number): DeferredAnswer {
    const request = new ServedRequest(this.#link, this.#link, id, method, noBytes, deadlineMs);
    const { promise, resolve, reject } = deferred<Uint8Array>();
    const refusal = this.countRefusal(method);
    if (refusal === null) {
      void this.#serveLater(request, promise);
    } else {
      // One batch may bring more than there is room for; nobody waits for this answer any more.
      promise.catch(() => {});
      this.fail(id, refusal);
      request.abandon(refusal);
    }
    return {
      get signal() {
        return request.signal;
      },
      // Copied at once: it leaves later, and the bytes may be borrowed or leased.
      reply: (bytes = noBytes) => resolve(new Uint8Array(checkBytes('bytes', bytes))),
      fail: reject,
    };
  }

  onRequest(frame: FrameView, method: string): void {
    const id = frame.streamId;
    this.#link.acceptPeerId('request', id);
    const refusal = this.#refusalOf(method, frame.end - frame.start);
    if (refusal !== null) {
      this.#link.checkFlood();
      this.#link.sendFailure(FrameType.error, id, refusal);
      return;
    }
    const deadlineMs = frame.argument === 0 ? Infinity : frame.argument;
    this.#serve(
      new ServedRequest(this.#link, this.#link, id, method, keepPayload(frame), deadlineMs),
    );
  }

  /** A whole frame of several, checked to be one, which counts as its payloads would alone. */
  onRequests(frame: FrameView, method: string): void {
    const link = this.#link;
    const { end } = frame;
    const view = viewOf(frame.bytes);
    for (let at = frame.start; at < end; ) {
      const bytes = view.getUint32(at + 4, true);
      frame.streamId = view.getUint32(at, true);
      frame.start = at + severalItemBytes;
      frame.end = frame.start + bytes;
      at = frame.start + padded(bytes);
      link.framesReceived++;
      link.bytesReceived += frameHeaderBytes + bytes;
      this.onRequest(frame, method);
      // Ended by what its handler did.
      if (link.phase === 'over' || link.phase === 'closed') return;
    }
  }

  onCancel(frame: FrameView): void {
    const request = this.#inFlight?.get(frame.streamId) ?? null;
    if (request === null) {
      if (hasUsed(this.#link.lastPeerId, frame.streamId)) return;
      throw protocolError(`request ${frame.streamId} was cancelled but never made`);
    }
    request.abandon(
      frame.argument === codeNumbers.PAIPAI_ERR_DEADLINE
        ? deadlinePassed(`request '${request.method}'`, request.deadlineMs)
        : new PaipaiError(
            'PAIPAI_ERR_ABORTED',
            `request '${request.method}': aborted by the caller`,
          ),
    );
  }

  /** The connection is over; handlers hear of it through their signals. */
  abandonAll(cause: Error | null): void {
    for (const request of this.#inFlight?.takeAll() ?? []) {
      const tried = `request '${request.method}'`;
      request.abandon(peerClosed(this.#link.channel.remoteAddress, tried, cause));
    }
  }

  /** Why no further request may begin; also of those that a fast handler would put off. */
  countRefusal(method: string): PaipaiError | null {
    const { requestsInFlightMax } = this.#link.settings;
    if (this.count < requestsInFlightMax) return null;
    return new PaipaiError(
      'PAIPAI_ERR_OVERLOADED',
      `request '${method}': ${requestsInFlightMax} requests of this connection are being served already`,
      { method },
    );
  }

  #refusalOf(method: string, payloadBytes: number): PaipaiError | null {
    const link = this.#link;
    if (!link.open) return sessionClosed('the other side', `request '${method}'`);
    if (typeof link.settings.service.onRequest !== 'function') {
      return new PaipaiError('PAIPAI_ERR_METHOD_UNKNOWN', `no method '${method}' is served`, {
        method,
      });
    }
    const { inFlightBytesMax } = link.settings;
    const tooMany = this.countRefusal(method);
    if (tooMany !== null) return tooMany;
    // One alone is taken whatever its length, which the frame limit bounds.
    if (this.count > 0 && this.#payloadBytes + payloadBytes > inFlightBytesMax) {
      return new PaipaiError(
        'PAIPAI_ERR_OVERLOADED',
        `request '${method}': requests of ${this.#payloadBytes} bytes are being served for this connection, and with it they would pass ${inFlightBytesMax}`,
        { method },
      );
    }
    if (link.isClogged) {
      return new PaipaiError(
        'PAIPAI_ERR_OVERLOADED',
        `request '${method}': earlier answers wait to be read`,
        { method },
      );
    }
    return null;
  }

  #serve(request: ServedRequest): void {
    try {
      // `#refusalOf` has seen that it is there.
      const result = this.#link.settings.service.onRequest?.(request);
      if (result instanceof Uint8Array) this.#answer(request, result);
      else void this.#serveLater(request, result);
    } catch (error) {
      this.#fail(request, error);
    }
  }

  /** Never rejects: `#fail` sends or drops whatever went wrong. */
  async #serveLater(request: ServedRequest, result: unknown): Promise<void> {
    this.#inFlight ??= new IdTable();
    this.#inFlight.add(request);
    // Kept, because a handler may transfer the payload away, which leaves it with no length.
    const payloadBytes = request.payload.length;
    this.#payloadBytes += payloadBytes;
    request.startDeadline();
    try {
      this.#answer(request, asAnswer(await result));
    } catch (error) {
      this.#fail(request, error);
    }
    this.#inFlight.take(request.id);
    this.#payloadBytes -= payloadBytes;
    if (!this.#link.open) this.#link.onDone();
  }

  #answer(request: ServedRequest, payload: Uint8Array): void {
    if (!request.isAbandoned) this.#link.sendFrame(FrameType.response, 0, request.id, 0, payload);
    request.finish();
  }

  #fail(request: ServedRequest, error: unknown): void {
    request.finish();
    if (!request.isAbandoned) this.#link.sendFailure(FrameType.error, request.id, error);
  }
}

/** The caller did nothing wrong when a service returns what is no answer, so it must not read as its own bad argument. */
function asAnswer(result: unknown): Uint8Array {
  try {
    return checkBytes('the answer of a service', result);
  } catch (cause) {
    throw new PaipaiError('PAIPAI_ERR_REMOTE', toError(cause).message, { cause });
  }
}
