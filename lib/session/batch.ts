import { invalidArgument } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import { padded, severalItemBytes } from '../wire/several.js';
import { noBytes } from './payload.js';
import type { DeferredAnswer, Lease, MessageBatch, RequestBatch } from './types.js';

/** Where the answers of a batch go. */
export interface BatchAnswers {
  reply(id: number, bytes: Uint8Array): void;
  replyRange(id: number, bytes: Uint8Array, start: number, end: number): void;
  fail(id: number, error: unknown): void;
  defer(id: number, method: string, deadlineMs: number): DeferredAnswer;
}

/** Where the memory of a payload goes that nobody looks at any more. */
export interface PayloadMemory {
  reuse?(bytes: Uint8Array): void;
}

/** A payload whose memory goes back when the last of its holders lets go. */
class HeldPayload {
  readonly bytes: Uint8Array;
  readonly #memory: PayloadMemory;
  #holders = 0;

  constructor(bytes: Uint8Array, memory: PayloadMemory) {
    this.bytes = bytes;
    this.#memory = memory;
  }

  hold(): this {
    this.#holders++;
    return this;
  }

  letGo(): void {
    if (--this.#holders === 0) this.#memory.reuse?.(this.bytes);
  }
}

class PayloadLease implements Lease {
  bytes: Uint8Array;
  /** Null: the bytes are a copy, or released. */
  #held: HeldPayload | null;

  constructor(bytes: Uint8Array, held: HeldPayload | null) {
    this.bytes = bytes;
    this.#held = held;
  }

  release(): void {
    const held = this.#held;
    this.bytes = noBytes;
    this.#held = null;
    held?.letGo();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** As many as there were batches under way at once, so that a connection without one holds none. */
const spares: Batch[] = [];
const sparesMax = 1_024;

/** An empty one; give it back with `releaseBatch`. */
export function acquireBatch(peer: unknown, answers: BatchAnswers): Batch {
  const batch = spares.pop() ?? new Batch();
  batch.open(peer, answers);
  return batch;
}

export function releaseBatch(batch: Batch): void {
  batch.clear();
  if (spares.length < sparesMax) spares.push(batch);
}

const nobody: BatchAnswers = {
  reply() {},
  replyRange() {},
  fail() {},
  defer() {
    throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'the batch is over');
  },
};

/**
 * Requests or messages of one name that came together, their payloads where they were received. Used again and again, also for
 * other peers; empty outside of the call that it is given to.
 */
export class Batch implements MessageBatch, RequestBatch {
  peer: unknown = null;
  name = '';
  length = 0;
  bytes: Uint8Array = noBytes;
  #answers: BatchAnswers = nobody;
  /** Where `bytes` are the one payload of the batch and nobody else's; the batch is one of its holders. */
  #held: HeldPayload | null = null;
  #unsettled = 0;
  #starts = new Int32Array(64);
  #ends = new Int32Array(64);
  #ids = new Uint32Array(64);
  #deadlines = new Uint32Array(64);
  #isSettled = new Uint8Array(64);

  start(index: number): number {
    const at = this.#starts[index];
    return index < this.length && at !== undefined ? at : this.#outside(index);
  }

  end(index: number): number {
    const at = this.#ends[index];
    return index < this.length && at !== undefined ? at : this.#outside(index);
  }

  reply(index: number, bytes: Uint8Array = noBytes): void {
    this.#answers.reply(this.#unsettledId(index), bytes);
    this.#settle(index);
  }

  replyRange(index: number, start: number, end: number): void {
    if (!(start >= 0 && end >= start && end <= this.bytes.length)) {
      throw invalidArgument(
        'start and end',
        'a part of the bytes of the batch',
        `${start}, ${end}`,
      );
    }
    this.#answers.replyRange(this.#unsettledId(index), this.bytes, start, end);
    this.#settle(index);
  }

  fail(index: number, error: Error): void {
    this.#answers.fail(this.#unsettledId(index), error);
    this.#settle(index);
  }

  defer(index: number): DeferredAnswer {
    const id = this.#unsettledId(index);
    this.#settle(index);
    const deadlineMs = this.#deadlines[index] as number;
    return this.#answers.defer(id, this.name, deadlineMs === 0 ? Infinity : deadlineMs);
  }

  lease(index: number): Lease {
    const start = this.start(index);
    const { bytes } = this;
    if (this.#held !== null) return new PayloadLease(bytes, this.#held.hold());
    return new PayloadLease(Uint8Array.prototype.slice.call(bytes, start, this.end(index)), null);
  }

  // For the session.

  /** `bytes` are the one payload of this batch; when nobody holds them any more, `memory` gets them back. */
  own(memory: PayloadMemory): void {
    this.#held = new HeldPayload(this.bytes, memory).hold();
  }

  open(peer: unknown, answers: BatchAnswers): void {
    this.peer = peer;
    this.#answers = answers;
  }

  push(start: number, end: number, id: number, deadline: number): void {
    const index = this.length;
    if (index === this.#starts.length) this.#grow();
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.#ids[index] = id;
    this.#deadlines[index] = deadline;
    this.#isSettled[index] = 0;
    this.#unsettled++;
    this.length = index + 1;
  }

  /** The payloads of a frame of several (`view` from `at` to `frameEnd`), checked to be one. Returns how many bytes they have together. */
  pushSeveral(view: DataView, at: number, frameEnd: number, deadline: number): number {
    let index = this.length;
    while (index + (frameEnd - at) / severalItemBytes > this.#starts.length) this.#grow();
    const starts = this.#starts;
    const ends = this.#ends;
    const ids = this.#ids;
    const before = index;
    let payloadBytes = 0;
    while (at < frameEnd) {
      const start = at + severalItemBytes;
      const count = view.getUint32(at + 4, true);
      ids[index] = view.getUint32(at, true);
      starts[index] = start;
      ends[index] = start + count;
      payloadBytes += count;
      at = start + padded(count);
      index++;
    }
    this.#deadlines.fill(deadline, before, index);
    this.#isSettled.fill(0, before, index);
    this.#unsettled += index - before;
    this.length = index;
    return payloadBytes;
  }

  /** The id under which the peer has sent payload `index`. */
  id(index: number): number {
    return this.#ids[index] as number;
  }

  /** Fails every request that has neither an answer nor a promise of one. */
  failRest(error: unknown): void {
    for (let i = 0; i < this.length; i++) {
      if (this.#isSettled[i] === 0) this.#answers.fail(this.#ids[i] as number, error);
    }
  }

  get hasUnsettled(): boolean {
    return this.#unsettled > 0;
  }

  clear(): void {
    this.#held?.letGo();
    this.#held = null;
    this.#unsettled = 0;
    this.length = 0;
    this.bytes = noBytes;
    this.peer = null;
    this.#answers = nobody;
  }

  #unsettledId(index: number): number {
    const id = this.#ids[index];
    if (!(index < this.length) || id === undefined) return this.#outside(index);
    if (this.#isSettled[index] !== 0) {
      throw new PaipaiError(
        'PAIPAI_ERR_INVALID_STATE',
        `request ${index} of the batch is answered`,
      );
    }
    return id;
  }

  /** Behind the answer: one that could not be sent was none. */
  #settle(index: number): void {
    this.#isSettled[index] = 1;
    this.#unsettled--;
  }

  #outside(index: number): never {
    throw new PaipaiError(
      'PAIPAI_ERR_INVALID_STATE',
      `the batch has ${this.length} entries and none of index ${index}; it is empty once its call has returned, see defer()`,
    );
  }

  #grow(): void {
    this.#starts = grown(Int32Array, this.#starts);
    this.#ends = grown(Int32Array, this.#ends);
    this.#ids = grown(Uint32Array, this.#ids);
    this.#deadlines = grown(Uint32Array, this.#deadlines);
    this.#isSettled = grown(Uint8Array, this.#isSettled);
  }
}

function grown<T extends Int32Array | Uint32Array | Uint8Array>(
  kind: new (length: number) => T,
  before: T,
): T {
  const after = new kind(before.length * 2);
  after.set(before);
  return after;
}
