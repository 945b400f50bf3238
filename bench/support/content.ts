/**
 * What messages contain, in every program of the message cases (`native/messages.h` has the same in C): message `number` is
 * the words number, number + step, number + 2 step and so on, modulo 2^32. So each side knows what must come, and what was
 * sent can be summed up again after the clock has stopped.
 */
const step = 0x9e3779b1 | 0;
const mix = 0x85ebca6b | 0;

/** Payloads that the cases allow, such that every peer has a frame for them. */
export const messageBytesMax: number = 64 * 1024;

/** Of the setting `message-bytes`. @throws RangeError when it is no multiple of 4 from 4 to 64 KiB. */
export function messageBytesOf(setting: string | undefined): number {
  const bytes = Number(setting ?? 64);
  if (Number.isInteger(bytes) && bytes >= 4 && bytes <= messageBytesMax && bytes % 4 === 0) {
    return bytes;
  }
  throw new RangeError(`--message-bytes takes a multiple of 4 up to ${messageBytesMax}`);
}

/** Writes the content of message `number` to `words` from `start` up to `end`. */
export function fillContent(words: Int32Array, start: number, end: number, number: number): void {
  let word = number | 0;
  for (let i = start; i < end; i++) {
    words[i] = word;
    word = (word + step) | 0;
  }
}

/** Checksum of a message's words from `start` up to `end`, which notices where in the message a word stands. */
export function checksumOf(words: Int32Array, start: number, end: number): number {
  let sum = 0;
  let sums = 0;
  for (let i = start; i < end; i++) {
    // Inside of `words`, as the caller says.
    sum = (sum + (words[i] as number)) | 0;
    sums = (sums + sum) | 0;
  }
  return sum ^ Math.imul(sums, mix);
}

/** Where payloads are copied before they are read: a word of bytes that may lie anywhere is cheaper to copy than to put together. */
const scratchWords: Int32Array = new Int32Array(messageBytesMax / 4);
const scratch: Uint8Array = new Uint8Array(scratchWords.buffer);

/** The last bytes that were read in place, and all whole words of the buffer behind them: asking for a buffer costs as much as a message. */
let lastBytes: Uint8Array = scratch;
let lastOffset = 0;
let lastWords: Int32Array = scratchWords;

function look(bytes: Uint8Array): void {
  if (bytes === lastBytes) return;
  lastBytes = bytes;
  lastOffset = bytes.byteOffset;
  lastWords = new Int32Array(bytes.buffer, 0, bytes.buffer.byteLength >> 2);
}

/** Count and sum of checksums, whatever the order of the messages. */
export class Tally {
  count = 0;
  #sum = 0;

  add(checksum: number): void {
    this.count++;
    this.#sum = (this.#sum + checksum) | 0;
  }

  /** Adds the message with this payload; its number. @throws RangeError when it has another length than `messageBytes`. */
  addBytes(payload: Uint8Array, messageBytes: number): number {
    if (payload.length !== messageBytes) throw new RangeError(`${payload.length} bytes came`);
    scratch.set(payload);
    this.add(checksumOf(scratchWords, 0, messageBytes / 4));
    return (scratchWords[0] ?? 0) >>> 0;
  }

  /** `addBytes` for a payload inside of `bytes`. */
  addRange(bytes: Uint8Array, start: number, end: number, messageBytes: number): number {
    if (end - start !== messageBytes) throw new RangeError(`${end - start} bytes came`);
    look(bytes);
    const at = lastOffset + start;
    if ((at & 3) !== 0) return this.addBytes(bytes.subarray(start, end), messageBytes);
    const words = lastWords;
    const first = at >> 2;
    this.add(checksumOf(words, first, first + messageBytes / 4));
    return (words[first] as number) >>> 0;
  }

  /** Adds `count` messages as they must be, numbered from `first` in steps of `stride`. */
  addKnown(first: number, stride: number, count: number, messageBytes: number): void {
    const words = new Int32Array(messageBytes / 4);
    for (let i = 0; i < count; i++) {
      fillContent(words, 0, words.length, first + i * stride);
      this.add(checksumOf(words, 0, words.length));
    }
  }

  get checksum(): string {
    return (this.#sum >>> 0).toString(16).padStart(8, '0');
  }
}
