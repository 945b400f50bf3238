import { PaipaiError } from '../../base/errors.js';
import { type Deadlines, Expiring } from '../../session/deadlines.js';
import { aborted, deadlinePassed } from '../../session/failures.js';
import { frameHeaderBytes } from '../../wire/frame.js';

/** A request without a connection, its arguments checked. */
export interface HeldRequest {
  readonly method: string;
  readonly payload: Uint8Array;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Puts a request on the connection that stands now, with what is left of its deadline. */
export type SendHeld = (request: HeldRequest) => Promise<Uint8Array>;

class WaitingRequest extends Expiring {
  readonly request: HeldRequest;
  readonly resolve: (answer: Uint8Array | PromiseLike<Uint8Array>) => void;
  readonly reject: (error: Error) => void;
  readonly dueMs: number;
  readonly #giveUp: (waiting: WaitingRequest, error: Error) => void;

  constructor(
    request: HeldRequest,
    dueMs: number,
    resolve: WaitingRequest['resolve'],
    reject: WaitingRequest['reject'],
    giveUp: (waiting: WaitingRequest, error: Error) => void,
  ) {
    super();
    this.request = request;
    this.dueMs = dueMs;
    this.resolve = resolve;
    this.reject = reject;
    this.#giveUp = giveUp;
    request.signal?.addEventListener('abort', this);
  }

  override onDeadline(): void {
    this.#giveUp(this, this.deadlineError());
  }

  handleEvent(): void {
    // Only a signal that was set can fire.
    const signal = this.request.signal as AbortSignal;
    this.#giveUp(this, aborted(`request '${this.request.method}'`, signal));
  }

  deadlineError(): PaipaiError {
    return deadlinePassed(`request '${this.request.method}'`, this.request.deadlineMs);
  }
}

/** Requests that wait for the next connection, bounded in number and in bytes. Each leaves once: sent, or with an error. */
export class WaitingRequests {
  readonly #deadlines: Deadlines;
  readonly #countMax: number;
  readonly #bytesMax: number;
  readonly #waiting = new Set<WaitingRequest>();
  #byteCount = 0;

  constructor(deadlines: Deadlines, countMax: number, bytesMax: number) {
    this.#deadlines = deadlines;
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** Copies the payload. Fails with PAIPAI_ERR_OVERLOADED when there is no room, _DEADLINE, _ABORTED. */
  add(request: HeldRequest): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const { method, signal, deadlineMs } = request;
      if (signal?.aborted) throw aborted(`request '${method}'`, signal);
      const byteCount = frameBytes(request);
      const isFull = this.count > 0 && this.#byteCount + byteCount > this.#bytesMax;
      if (isFull || this.count >= this.#countMax) {
        throw new PaipaiError(
          'PAIPAI_ERR_OVERLOADED',
          `request '${method}': there is no connection, and ${this.count} requests of ${this.#byteCount} bytes wait for the next one already`,
          { method },
        );
      }
      const dueMs = this.#deadlines.nowMs + deadlineMs;
      const giveUp = (waiting: WaitingRequest, error: Error): void => {
        this.#take(waiting);
        waiting.reject(error);
      };
      // The caller's bytes are its own again when this returns.
      const held = { ...request, payload: new Uint8Array(request.payload) };
      const waiting = new WaitingRequest(held, dueMs, resolve, reject, giveUp);
      this.#byteCount += byteCount;
      this.#waiting.add(waiting);
      if (deadlineMs !== Infinity) this.#deadlines.set(waiting, deadlineMs);
    });
  }

  /** A connection stands. */
  sendAll(send: SendHeld): void {
    for (const waiting of this.#waiting) {
      this.#take(waiting);
      const deadlineMs = waiting.dueMs - this.#deadlines.nowMs;
      if (deadlineMs > 0) waiting.resolve(send({ ...waiting.request, deadlineMs }));
      else waiting.reject(waiting.deadlineError());
    }
  }

  failAll(error: (method: string) => Error): void {
    for (const waiting of this.#waiting) {
      this.#take(waiting);
      waiting.reject(error(waiting.request.method));
    }
  }

  #take(waiting: WaitingRequest): void {
    this.#waiting.delete(waiting);
    this.#byteCount -= frameBytes(waiting.request);
    this.#deadlines.clear(waiting);
    waiting.request.signal?.removeEventListener('abort', waiting);
  }
}

function frameBytes(request: HeldRequest): number {
  return frameHeaderBytes + request.payload.length;
}
