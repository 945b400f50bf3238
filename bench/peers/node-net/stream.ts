/**
 * The case `stream` as a careful programmer writes it on `node:net`. A frame without a payload asks the receiver to confirm;
 * the answer is a frame without a payload, whose number is how many messages have come.
 */
import type { Socket } from 'node:net';
import { listenOn } from '../../support/addresses.js';
import { checksumOf, fillContent, messageBytesOf, Tally } from '../../support/content.js';
import { takingServer } from '../../support/exchange.js';
import { play } from '../../support/program.js';
import { connected, socketsOf } from '../../support/sockets.js';
import { checkConfirmed, type StreamSender, streamClient } from '../../support/stream.js';
import { frameCutter, headerBytes, headerWords } from './frames.js';

const batchBytes = 128 * 1024;
const batchCount = 2;

/** Frames that leave in one write, in memory that is used again once the system has taken them. */
interface Batch {
  readonly words: Int32Array;
  readonly bytes: Buffer;
}

class Sender implements StreamSender {
  sentCount = 0;
  readonly #socket: Socket;
  readonly #payloadBytes: number;
  readonly #free: Batch[] = [];
  #untilMs = 0;
  #onConfirmed: (count: number) => void = () => {};

  constructor(socket: Socket, payloadBytes: number) {
    this.#socket = socket;
    this.#payloadBytes = payloadBytes;
    const frameBytes = headerBytes + payloadBytes;
    const frames = Math.max(1, Math.floor(batchBytes / frameBytes));
    for (let i = 0; i < batchCount; i++) {
      const words = new Int32Array((frames * frameBytes) / 4);
      this.#free.push({ words, bytes: Buffer.from(words.buffer) });
    }
  }

  /** Sends for `seconds`; resolves when the receiver has confirmed the last message. */
  async streamFor(seconds: number): Promise<void> {
    const confirmed = new Promise<number>((resolve) => {
      this.#onConfirmed = resolve;
    });
    this.#untilMs = performance.now() + seconds * 1e3;
    this.#sendFree();
    checkConfirmed(await confirmed, this.sentCount);
  }

  /** The receiver has so many messages. */
  confirm(count: number): void {
    this.#onConfirmed(count);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** As many batches as are free: a receiver that does not read keeps the others. */
  #sendFree(): void {
    while (this.#free.length > 0 && this.#untilMs > 0) {
      if (performance.now() >= this.#untilMs) {
        this.#untilMs = 0;
        this.#socket.write(Buffer.alloc(headerBytes));
        return;
      }
      const batch = this.#free.pop() as Batch; // There is one.
      this.#fill(batch.words);
      this.#socket.write(batch.bytes, () => {
        this.#free.push(batch);
        this.#sendFree();
      });
    }
  }

  #fill(words: Int32Array): void {
    const payloadWords = this.#payloadBytes / 4;
    let number = this.sentCount;
    for (let at = 0; at < words.length; at += payloadWords) {
      words[at] = this.#payloadBytes;
      words[at + 1] = number;
      at += headerWords;
      fillContent(words, at, at + payloadWords, number++);
    }
    this.sentCount = number;
  }
}

await play({
  async server({ path, socket: file = '', ...settings }) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const taken = new Tally();
    const { createServer } = await socketsOf(settings);
    const server = createServer({ noDelay: true }, (socket) => {
      const onFrame = (words: Int32Array, start: number, end: number, number: number): void => {
        if (start === end) {
          const confirmation = Buffer.alloc(headerBytes);
          confirmation.writeUInt32LE(taken.count >>> 0, 4);
          socket.write(confirmation);
          return;
        }
        if (number !== taken.count >>> 0) throw new Error(`message ${number} came out of order`);
        taken.add(checksumOf(words, start, end));
      };
      socket.on(
        'data',
        frameCutter(headerBytes + payloadBytes, onFrame, () => {}),
      );
    });
    return takingServer(await listenOn(server, path, file), taken, () => {
      server.close();
    });
  },

  async client(settings, address) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const onConfirmation = (
      _words: Int32Array,
      _start: number,
      _end: number,
      count: number,
    ): void => sender.confirm(count);
    const cut = frameCutter(headerBytes, onConfirmation, () => {});
    const { connect } = await socketsOf(settings);
    const socket = await connected(connect(address, cut));
    const sender = new Sender(socket, payloadBytes);
    return streamClient(settings, sender);
  },
});
