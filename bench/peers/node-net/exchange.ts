/**
 * The cases `pingpong`, `requests` and `connections` as a careful programmer writes them on `node:net`: one write for all
 * requests or answers of a turn, from memory that is allocated once, and no promise or object for each message.
 */
import type { Socket } from 'node:net';
import { listenOn } from '../../support/addresses.js';
import { checksumOf, fillContent, Tally } from '../../support/content.js';
import {
  type Course,
  ExchangeClient,
  exchangePlanOf,
  takingServer,
} from '../../support/exchange.js';
import { play } from '../../support/program.js';
import { connected, socketsOf } from '../../support/sockets.js';
import { frameCutter, headerBytes, headerWords } from './frames.js';

/**
 * Frames on their way out, in a ring with room for twice as many as are ever under way. A place is used again only when its
 * frame has come back, or the next one of its kind has come in, so the system is done with it and nobody has to ask.
 */
class Outbox {
  readonly words: Int32Array;
  readonly #bytes: Buffer;
  readonly #socket: Socket;
  readonly #payloadBytes: number;
  readonly #frameWords: number;
  #sent = 0;
  #next = 0;

  constructor(socket: Socket, payloadBytes: number, inFlight: number) {
    this.#socket = socket;
    this.#payloadBytes = payloadBytes;
    this.#frameWords = headerWords + payloadBytes / 4;
    this.words = new Int32Array(this.#frameWords * inFlight * 2);
    this.#bytes = Buffer.from(this.words.buffer);
  }

  /** Begins a frame; the place of its payload in `words`. */
  begin(number: number): number {
    if (this.#next === this.words.length) {
      this.flush();
      this.#next = 0;
      this.#sent = 0;
    }
    const at = this.#next;
    this.words[at] = this.#payloadBytes;
    this.words[at + 1] = number;
    this.#next = at + this.#frameWords;
    return at + headerWords;
  }

  flush(): void {
    if (this.#next === this.#sent) return;
    this.#socket.write(this.#bytes.subarray(this.#sent * 4, this.#next * 4));
    this.#sent = this.#next;
  }
}

await play({
  async server({ path, socket: file = '', ...settings }) {
    const { payloadBytes, inFlight } = exchangePlanOf(settings);
    const taken = new Tally();
    const { createServer } = await socketsOf(settings);
    const server = createServer({ noDelay: true }, (socket) => {
      const outbox = new Outbox(socket, payloadBytes, inFlight);
      const answer = (words: Int32Array, start: number, end: number, number: number): void => {
        taken.add(checksumOf(words, start, end));
        const target = outbox.words;
        let at = outbox.begin(number);
        // Both lie inside of their arrays.
        for (let i = start; i < end; i++) target[at++] = words[i] as number;
      };
      const frameBytes = headerBytes + payloadBytes;
      socket.on(
        'data',
        frameCutter(frameBytes, answer, () => outbox.flush()),
      );
    });
    return takingServer(await listenOn(server, path, file), taken, () => {
      server.close();
    });
  },

  async client(settings, address) {
    const client = new ExchangeClient(exchangePlanOf(settings));
    const { payloadBytes, inFlight } = client.plan;
    const { connect } = await socketsOf(settings);
    const outboxes: Outbox[] = [];
    const sockets: Socket[] = [];
    const ask = (outbox: Outbox, course: Course): void => {
      const number = course.begin();
      const at = outbox.begin(number);
      fillContent(outbox.words, at, at + payloadBytes / 4, number);
    };
    const open = async (course: Course): Promise<void> => {
      const onAnswer = (words: Int32Array, start: number, end: number, number: number): void => {
        client.answered.add(checksumOf(words, start, end));
        if (client.answer(course, number)) ask(outbox, course);
      };
      const onBatch = (): void => {
        outbox.flush();
        client.settle();
      };
      const cut = frameCutter(headerBytes + payloadBytes, onAnswer, onBatch);
      const socket = await connected(connect(address, cut));
      const outbox = new Outbox(socket, payloadBytes, inFlight);
      outboxes.push(outbox);
      sockets.push(socket);
    };
    return client.role({
      open,
      exchangeFor(seconds) {
        const over = client.exchangeFor(
          seconds,
          (index) => ask(outboxes[index] as Outbox, client.courses[index] as Course), // One of each is open.
        );
        for (const outbox of outboxes) outbox.flush();
        return over;
      },
      close() {
        for (const socket of sockets) socket.destroy();
      },
    });
  },
});
