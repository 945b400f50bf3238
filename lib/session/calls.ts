import { checkBytes, checkDuration, checkSignal } from '../base/check.js';
import { codeNumbers } from '../base/codes.js';
import type { FrameView } from '../transport/frame-channel.js';
import { decodeError } from '../wire/error-payload.js';
import { FrameType } from '../wire/frame.js';
import { Expiring } from './deadlines.js';
import { aborted, deadlinePassed, peerClosed, protocolError } from './failures.js';
import { type Chained, IdTable } from './id-table.js';
import type { IdSequence } from './ids.js';
import type { Link } from './link.js';
import { keepPayload, noBytes, ownPayload, viewPayload } from './payload.js';
import type { RequestOptions } from './types.js';

type Resolve = (answer: Uint8Array) => void;
type Reject = (error: Error) => void;

/** A request of ours that waits for its answer. */
class PendingCall extends Expiring implements Chained<PendingCall> {
  readonly id: number;
  nextInChain: PendingCall | null = null;
  readonly method: string;
  readonly deadlineMs: number;
  readonly resolve: Resolve;
  readonly reject: Reject;
  readonly #calls: Calls;
  #signal: AbortSignal | null = null;

  constructor(
    calls: Calls,
    id: number,
    method: string,
    deadlineMs: number,
    resolve: Resolve,
    reject: Reject,
  ) {
    super();
    this.#calls = calls;
    this.id = id;
    this.method = method;
    this.deadlineMs = deadlineMs;
    this.resolve = resolve;
    this.reject = reject;
  }

  override onDeadline(): void {
    this.#calls.giveUp(this, deadlinePassed(`request '${this.method}'`, this.deadlineMs));
  }

  listen(signal: AbortSignal): void {
    this.#signal = signal;
    signal.addEventListener('abort', this);
  }

  stopListening(): void {
    this.#signal?.removeEventListener('abort', this);
  }

  /** The event listener is the call itself, which saves a closure. */
  handleEvent(): void {
    // Only a signal that was set can fire.
    const signal = this.#signal as AbortSignal;
    this.#calls.giveUp(this, aborted(`request '${this.method}'`, signal));
  }
}

/** The requests this side makes. */
export class Calls {
  readonly #link: Link;
  readonly #ids: IdSequence;
  readonly #onDone: () => void;
  readonly #pending = new IdTable<PendingCall>();

  /** @param onDone called after each call that is over while no new work is taken */
  constructor(link: Link, ids: IdSequence, onDone: () => void) {
    this.#link = link;
    this.#ids = ids;
    this.#onDone = onDone;
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
    link.checkRoom('request', method, bytes.length);
    const id = this.#ids.next;
    const nameIndex = link.nameIndex('method', method);
    link.send(FrameType.request, nameIndex, id, deadlineArgument(deadlineMs), ownPayload(bytes));
    this.#ids.accept(id);
    const call = new PendingCall(this, id, method, deadlineMs, resolve, reject);
    this.#pending.add(call);
    if (deadlineMs !== Infinity) link.deadlines.setGathered(call, deadlineMs);
    if (signal !== undefined) call.listen(signal);
  }

  onResponse(frame: FrameView): void {
    const call = this.#finish(frame.streamId);
    if (call !== null) call.resolve(keepPayload(frame));
    if (!this.#link.open) this.#onDone();
  }

  onError(frame: FrameView): void {
    const error = decodeError(frame.argument, viewPayload(frame));
    const call = this.#finish(frame.streamId);
    if (call !== null) call.reject(error);
    if (!this.#link.open) this.#onDone();
  }

  giveUp(call: PendingCall, error: Error & { readonly number: number }): void {
    if (this.#pending.take(call.id) === null) return;
    this.#release(call);
    this.#link.send(FrameType.cancel, 0, call.id, error.number, noBytes);
    call.reject(error);
    if (!this.#link.open) this.#onDone();
  }

  /** The connection is over. */
  failAll(cause: Error | null): void {
    for (const call of this.#pending.takeAll()) {
      this.#release(call);
      const tried = `request '${call.method}'`;
      call.reject(peerClosed(this.#link.channel.remoteAddress, tried, cause));
    }
  }

  /** Null for an answer that comes after we gave up. @throws PaipaiError PAIPAI_ERR_PROTOCOL */
  #finish(id: number): PendingCall | null {
    const call = this.#pending.take(id);
    if (call !== null) this.#release(call);
    else if (!this.#ids.hasUsed(id))
      throw protocolError(`an answer to request ${id}, which was never made`);
    return call;
  }

  #release(call: PendingCall): void {
    this.#link.deadlines.clear(call);
    call.stopListening();
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
