import {
  FrameType,
  gatheredBytesMax,
  severalItemBytes as itemBytes,
  padded,
  severalBytesMax,
  severalOf,
} from './binding.js';

export const headerBytes = 32;

/** Up to this many bytes a loop over words is faster than a call that copies. */
const loopBytesMax = 256;

/**
 * Frames that leave with the next flush, as on the wire but for what the addon stamps; the connection stands where the sequence
 * will. Neighbours that differ only in id and payload become one frame of several: for a small payload a header and two
 * checksums cost more than the payload.
 *
 *     | frame | frame | frame |        |
 *     0                       control[0]
 */
export class Outbox {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #view: DataView;
  /** Where what came is answered from. */
  readonly #inbox: Uint8Array;
  readonly #inboxWords: Int32Array;
  /** [0]: bytes used; the addon sets it to 0 when it takes them. [2]: above so many they leave before the end of the turn. */
  readonly #control: Uint32Array;
  readonly #flush: () => void;
  /** The last frame: where it begins, where it ends (-1: it takes no more), and what the next one has to have in common with it. */
  #lastAt = 0;
  #lastEnd = -1;
  #lastConnection = 0;
  #lastType = 0;
  #lastName = 0;
  #lastArgument = 0;
  #lastIsSeveral = false;

  constructor(memory: ArrayBuffer, inbox: Uint8Array, control: Uint32Array, flush: () => void) {
    this.#bytes = new Uint8Array(memory);
    this.#words = new Int32Array(memory);
    this.#view = new DataView(memory);
    this.#inbox = inbox;
    this.#inboxWords = new Int32Array(inbox.buffer);
    this.#control = control;
    this.#flush = flush;
  }

  /**
   * Copies `bytes` from `start` to `end`, which have to fit. Returns what that takes here, which is less than a frame behind one of several,
   * and nothing when all has left already.
   */
  add(
    connection: number,
    type: number,
    flags: number,
    name: number,
    streamId: number,
    argument: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): number {
    const payloadBytes = end - start;
    const mayGather =
      payloadBytes <= gatheredBytesMax &&
      flags === 0 &&
      (type === FrameType.request || type === FrameType.response || type === FrameType.message);
    let at = this.#control[0]!;
    // The addon's 0 is no end of a frame, so a frame that it has taken is never met here.
    if (
      mayGather &&
      at === this.#lastEnd &&
      connection === this.#lastConnection &&
      type === this.#lastType &&
      name === this.#lastName &&
      argument === this.#lastArgument &&
      this.#join(at, streamId, bytes, start, end)
    ) {
      return Math.max(0, this.#control[0]! - at);
    }
    if (at + headerBytes + payloadBytes > this.#bytes.length) {
      this.#flush();
      at = this.#control[0]!;
    }
    writeHeader(this.#view, at, connection, type, flags, name, streamId, argument, payloadBytes);
    this.#copy(bytes, start, end, at + headerBytes);
    const next = at + headerBytes + payloadBytes;
    this.#control[0] = next;
    this.#lastEnd = mayGather ? next : -1;
    this.#lastAt = at;
    this.#lastConnection = connection;
    this.#lastType = type;
    this.#lastName = name;
    this.#lastArgument = argument;
    this.#lastIsSeveral = false;
    if (next > this.#control[2]!) this.#flushEarly();
    return Math.max(0, this.#control[0]! - at);
  }

  /** Somebody else has added frames. */
  forgetLast(): void {
    this.#lastEnd = -1;
  }

  /** The other side begins with what there is, while this one goes on. */
  #flushEarly(): void {
    const mark = this.#control[2]!;
    this.#flush();
    this.#control[2] = mark * 4;
  }

  /** Puts the payload into the last frame, which ends at `at`. False: there is no room. */
  #join(at: number, id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const payloadBytes = end - start;
    const lastAt = this.#lastAt;
    const item = this.#lastIsSeveral ? at : this.#roomBehindFirst(at);
    const next = item + itemBytes + padded(payloadBytes);
    if (next - lastAt - headerBytes > severalBytesMax || next > this.#bytes.length) return false;
    if (!this.#lastIsSeveral) this.#makeSeveral(at);
    this.#writeItem(item, id, payloadBytes);
    this.#copy(bytes, start, end, item + itemBytes);
    this.#view.setUint32(lastAt + 8, next - lastAt - headerBytes, true);
    this.#control[0] = next;
    this.#lastEnd = next;
    if (next > this.#control[2]!) this.#flushEarly();
    return true;
  }

  #copy(bytes: Uint8Array, start: number, end: number, to: number): void {
    if (bytes === this.#inbox && end - start <= loopBytesMax && ((start | end | to) & 3) === 0) {
      const from = this.#inboxWords;
      const words = this.#words;
      const last = end >> 2;
      // Both indices stay inside, as the caller says of the bytes.
      for (let i = start >> 2, at = to >> 2; i < last; i++, at++) words[at] = from[i] as number;
    } else if (start === 0 && end === bytes.length) {
      this.#bytes.set(bytes, to);
    } else {
      this.#bytes.set(bytes.subarray(start, end), to);
    }
  }

  #roomBehindFirst(end: number): number {
    const first = this.#lastAt + headerBytes;
    return first + itemBytes + padded(end - first);
  }

  /** The last frame has one payload so far, up to `end`. */
  #makeSeveral(end: number): void {
    const view = this.#view;
    const lastAt = this.#lastAt;
    const first = lastAt + headerBytes;
    const id = view.getUint32(lastAt + 12, true);
    this.#bytes.copyWithin(first + itemBytes, first, end);
    this.#bytes.fill(0, end + itemBytes, this.#roomBehindFirst(end));
    view.setUint32(first, id, true);
    view.setUint32(first + 4, end - first, true);
    view.setUint32(lastAt, severalOf(this.#lastType) << 24, true);
    view.setUint32(lastAt + 12, 0, true);
    this.#lastIsSeveral = true;
  }

  #writeItem(at: number, id: number, payloadBytes: number): void {
    const view = this.#view;
    view.setUint32(at, id, true);
    view.setUint32(at + 4, payloadBytes, true);
    // What another connection left behind must not travel as padding.
    if ((payloadBytes & 7) !== 0) {
      const lastWord = at + padded(payloadBytes);
      view.setUint32(lastWord, 0, true);
      view.setUint32(lastWord + 4, 0, true);
    }
  }
}

/** All but what the addon stamps: magic, version, sequence and checksums. */
export function writeHeader(
  view: DataView,
  at: number,
  connection: number,
  type: number,
  flags: number,
  name: number,
  streamId: number,
  argument: number,
  payloadBytes: number,
): void {
  view.setUint32(at, type << 24, true);
  view.setUint32(at + 4, flags | (name << 16), true);
  view.setUint32(at + 8, payloadBytes, true);
  view.setUint32(at + 12, streamId, true);
  view.setUint32(at + 16, connection, true);
  view.setUint32(at + 20, argument, true);
}
