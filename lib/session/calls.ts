import { checkBytes, checkDuration, checkSignal, invalidArgument } from '../base/check.js';
import { codeNumbers } from '../base/codes.js';
import { PaipaiError } from '../base/errors.js';
import { throwLater } from '../base/throw-later.js';
import type { FrameView } from '../transport/frame-channel.js';
import { decodeError } from '../wire/error-payload.js';
import { FrameType, frameHeaderBytes } from '../wire/frame.js';
import { padded, severalItemBytes } from '../wire/several.js';
import { Expiring } from './deadlines.js';
import { aborted, deadlinePassed, peerClosed, protocolError } from './failures.js';
import { type Chained, IdTable } from './id-table.js';
import { hasUsed, idAfter } from './ids.js';
import type { Link } from './link.js';
import { keepPayload, noBytes, ownPayload, viewOf, viewPayload } from './payload.js';
import type { OnAnswer, RequestOptions } from './types.js';

type Resolve = (answer: Uint8Array) => void;
type Reject = (error: Error) => void;

/** A request of ours that waits for its answer. */
abstract class PendingCall extends Expiring implements Chained<PendingCall> {
  id = 0;
  nextInChain: PendingCall | null = null;
  method = '';
  deadlineMs = 0;
  readonly #calls: Calls;

  constructor(calls: Calls) {
    super();
    this.#calls = calls;
  }

  /** Whether the bytes of the frame may be looked at afterwards. */
  abstract answer(frame: FrameView): boolean;
  abstract fail(error: Error): void;
  /** It is over, and in no table or ring any more. */
  release(): void {}

  override onDeadline(): void {
    this.giveUp(deadlinePassed(`request '${this.method}'`, this.deadlineMs));
  }

  protected giveUp(error: Error & { readonly number: number }): void {
    this.#calls.giveUp(this, error);
  }
}

/** One that settles a promise. */
class PromisedCall extends PendingCall {
  readonly #resolve: Resolve;
  readonly #reject: Reject;
  #signal: AbortSignal | null = null;

  constructor(calls: Calls, resolve: Resolve, reject: Reject) {
    super(calls);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  override answer(frame: FrameView): boolean {
    this.#resolve(keepPayload(frame));
    return true;
  }

  override fail(error: Error): void {
    this.#reject(error);
  }

  listen(signal: AbortSignal): void {
    this.#signal = signal;
    signal.addEventListener('abort', this);
  }

  override release(): void {
    this.#signal?.removeEventListener('abort', this);
  }

  /** The event listener is the call itself, which saves a closure. */
  handleEvent(): void {
    // Only a signal that was set can fire.
    const signal = this.#signal as AbortSignal;
    this.giveUp(aborted(`request '${this.method}'`, signal));
  }
}

/** One that calls back with borrowed bytes, and is used again. */
class FastCall extends PendingCall {
  onAnswer: OnAnswer = unset;
  nextFree: FastCall | null = null;

  override answer(frame: FrameView): boolean {
    this.#call(null, frame.bytes, frame.start, frame.end);
    return false;
  }

  override fail(error: Error): void {
    this.#call(error, noBytes, 0, 0);
  }

  #call(error: Error | null, bytes: Uint8Array, start: number, end: number): void {
    const { onAnswer } = this;
    this.onAnswer = unset;
    try {
      onAnswer(error, bytes, start, end);
    } catch (thrown) {
      throwLater(thrown);
    }
  }
}

function unset(): void {}

/** The requests this side makes. */
export class Calls {
  readonly #link: Link;
  readonly #pending = new IdTable<PendingCall>();
  #free: FastCall | null = null;

  constructor(link: Link) {
    this.#link = link;
  }

  get count(): number {
    return this.#pending.size;
  }

  /** Sends one request; throws, with nothing sent, when it cannot. */
  start(
    method: string,
    payload: Uint8Array | undefined,
    options: RequestOptions | undefined,
    resolve: Resolve,
    reject: Reject,
  ): void {
    const link = this.#link;
    if (!link.open) link.checkOpen(`request '${method}'`);
    const bytes = payload === undefined ? noBytes : checkBytes('payload', payload);
    let deadlineMs = link.settings.deadlineMs;
    let signal: AbortSignal | undefined;
    if (options !== undefined) {
      if (options.deadlineMs !== undefined) {
        deadlineMs = checkDuration('deadlineMs', options.deadlineMs, true);
      }
      signal = checkSignal('signal', options.signal);
      if (signal?.aborted) throw aborted(`request '${method}'`, signal);
    }
    this.#checkCount(method);
    link.checkRoom('request', method, bytes.length);
    const call = new PromisedCall(this, resolve, reject);
    this.#begin(call, method, bytes, deadlineMs);
    if (signal !== undefined) call.listen(signal);
  }

  /** `start` for a callback. */
  startFast(
    method: string,
    payload: Uint8Array,
    onAnswer: OnAnswer,
    deadlineMs: number | undefined,
  ): void {
    const link = this.#link;
    if (!link.open) link.checkOpen(`request '${method}'`);
    const bytes = checkBytes('payload', payload);
    if (typeof onAnswer !== 'function') throw invalidArgument('onAnswer', 'a function', onAnswer);
    const { settings } = link;
    const checkedMs =
      deadlineMs === undefined
        ? settings.deadlineMs
        : checkDuration('deadlineMs', deadlineMs, true);
    this.#checkCount(method);
    link.checkRoom('request', method, bytes.length);
    const call = this.#free ?? new FastCall(this);
    this.#begin(call, method, bytes, checkedMs);
    // Only now: what throws above leaves it where it was.
    this.#free = call.nextFree;
    call.nextFree = null;
    call.onAnswer = onAnswer;
  }

  /** @throws PaipaiError PAIPAI_ERR_OVERLOADED */
  #checkCount(method: string): void {
    const { requestsPendingMax } = this.#link.settings;
    if (this.#pending.size < requestsPendingMax) return;
    throw new PaipaiError(
      'PAIPAI_ERR_OVERLOADED',
      `request '${method}': ${requestsPendingMax} requests of ours wait for their answers already`,
      { method },
    );
  }

  #begin(call: PendingCall, method: string, bytes: Uint8Array, deadlineMs: number): void {
    const link = this.#link;
    const id = idAfter(link.lastOwnId);
    const nameIndex = link.nameIndex('method', method);
    link.sendFrame(
      FrameType.request,
      nameIndex,
      id,
      deadlineArgument(deadlineMs),
      ownPayload(bytes),
    );
    link.lastOwnId = id | 0;
    call.id = id;
    call.method = method;
    call.deadlineMs = deadlineMs;
    this.#pending.add(call);
    if (deadlineMs !== Infinity) link.deadlines.setGathered(call, deadlineMs);
  }

  onResponse(frame: FrameView): void {
    const { owned, bytes } = frame;
    const call = this.#finish(frame.streamId);
    let isKept = false;
    if (call !== null) {
      isKept = call.answer(frame);
      this.#recycle(call);
    }
    if (owned && !isKept) this.#link.channel.reuse?.(bytes);
    if (!this.#link.open) this.#link.onDone();
  }

  /** A whole frame of several, checked to be one, which counts as its payloads would alone. */
  onResponses(frame: FrameView): void {
    const link = this.#link;
    const { end } = frame;
    const view = viewOf(frame.bytes);
    for (let at = frame.start; at < end; ) {
      const start = at + severalItemBytes;
      const bytes = view.getUint32(at + 4, true);
      link.framesReceived++;
      link.bytesReceived += frameHeaderBytes + bytes;
      const call = this.#finish(view.getUint32(at, true));
      frame.start = start;
      frame.end = start + bytes;
      at = start + padded(bytes);
      if (call !== null) {
        call.answer(frame);
        this.#recycle(call);
      }
      if (link.open) continue;
      link.onDone();
      // Ended by what it brought.
      if (link.phase !== 'closing') return;
    }
  }

  onError(frame: FrameView): void {
    const error = decodeError(frame.argument, viewPayload(frame));
    const call = this.#finish(frame.streamId);
    if (call !== null) {
      call.fail(error);
      this.#recycle(call);
    }
    if (!this.#link.open) this.#link.onDone();
  }

  giveUp(call: PendingCall, error: Error & { readonly number: number }): void {
    if (this.#pending.take(call.id) === null) return;
    this.#release(call);
    this.#link.sendFrame(FrameType.cancel, 0, call.id, error.number, noBytes);
    call.fail(error);
    this.#recycle(call);
    if (!this.#link.open) this.#link.onDone();
  }

  /** The connection is over. */
  failAll(cause: Error | null): void {
    for (const call of this.#pending.takeAll()) {
      this.#release(call);
      const tried = `request '${call.method}'`;
      call.fail(peerClosed(this.#link.channel.remoteAddress, tried, cause));
    }
  }

  /** Null for an answer that comes after we gave up. @throws PaipaiError PAIPAI_ERR_PROTOCOL */
  #finish(id: number): PendingCall | null {
    const call = this.#pending.take(id);
    if (call !== null) this.#release(call);
    else if (!hasUsed(this.#link.lastOwnId, id))
      throw protocolError(`an answer to request ${id}, which was never made`);
    return call;
  }

  #release(call: PendingCall): void {
    this.#link.deadlines.clear(call);
    call.release();
  }

  #recycle(call: PendingCall): void {
    if (!(call instanceof FastCall)) return;
    call.nextFree = this.#free;
    this.#free = call;
  }
}

/** Milliseconds as they travel in `argument`; 0 is none. */
export function deadlineArgument(deadlineMs: number): number {
  return deadlineMs === Infinity ? 0 : Math.ceil(deadlineMs);
}

/** Error numbers that CANCEL may carry. */
export const cancelNumbers: ReadonlySet<number> = new Set([
  codeNumbers.PAIPAI_ERR_DEADLINE,
  codeNumbers.PAIPAI_ERR_ABORTED,
]);
