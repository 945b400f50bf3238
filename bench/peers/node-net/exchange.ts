/**
 * The cases `pingpong`, `requests` and `connections` as a careful programmer writes them on `node:net`: one write for all
 * requests or answers of a turn, from memory that is allocated once, and no promise or object for each message.
 */
import { createServer, type Socket } from 'node:net';
import { checksumOf, fillContent, messageBytesOf, Tally } from '../../support/content.js';
import { Latencies } from '../../support/latencies.js';
import { play, setting, warmUpSeconds } from '../../support/program.js';
import { connectTo, listenOn } from './addresses.js';
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

/** One connection of the client, number `index` of `count`: its message k is number index + k * count. */
class Caller {
  sentCount = 0;
  answeredCount = 0;
  readonly #index: number;
  readonly #count: number;
  readonly #payloadWords: number;
  readonly #outbox: Outbox;

  constructor(index: number, count: number, payloadBytes: number, outbox: Outbox) {
    this.#index = index;
    this.#count = count;
    this.#payloadWords = payloadBytes / 4;
    this.#outbox = outbox;
  }

  ask(): void {
    const number = this.#index + this.sentCount++ * this.#count;
    const at = this.#outbox.begin(number);
    fillContent(this.#outbox.words, at, at + this.#payloadWords, number);
  }

  /** The answers come in the order of the requests. */
  checkAnswer(number: number): void {
    const expected = (this.#index + this.answeredCount++ * this.#count) >>> 0;
    if (number !== expected) throw new Error(`answer ${number} came instead of ${expected}`);
  }
}

await play({
  async server({ path, socket: file = '', ...settings }) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const inFlight = setting(settings, 'in-flight', 1);
    const taken = new Tally();
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
    return {
      address: await listenOn(server, path, file),
      verify: () => ({ takenCount: taken.count, takenChecksum: taken.checksum }),
      close() {
        server.close();
      },
    };
  },

  async client(settings, address) {
    const payloadBytes = messageBytesOf(settings['message-bytes']);
    const inFlight = setting(settings, 'in-flight', 1);
    const count = setting(settings, 'connections', 1);
    const seconds = setting(settings, 'seconds', 2);
    const latencies = inFlight * count === 1 ? new Latencies() : null;
    const answered = new Tally();
    const callers: Caller[] = [];
    const outboxes: Outbox[] = [];
    const sockets: Socket[] = [];
    let isOver = false;
    let underWay = 0;
    let onIdle = (): void => {};

    for (let index = 0; index < count; index++) {
      const onAnswer = (words: Int32Array, start: number, end: number, number: number): void => {
        caller.checkAnswer(number);
        answered.add(checksumOf(words, start, end));
        latencies?.lap();
        if (isOver) underWay--;
        else caller.ask();
      };
      const onBatch = (): void => {
        outbox.flush();
        if (underWay === 0) onIdle();
      };
      const cut = frameCutter(headerBytes + payloadBytes, onAnswer, onBatch);
      const socket = await connectTo(address, cut);
      const outbox = new Outbox(socket, payloadBytes, inFlight);
      const caller = new Caller(index, count, payloadBytes, outbox);
      callers.push(caller);
      outboxes.push(outbox);
      sockets.push(socket);
    }

    const exchangeFor = (duration: number): Promise<void> =>
      new Promise((resolve) => {
        isOver = false;
        onIdle = resolve;
        setTimeout(() => {
          isOver = true;
        }, duration * 1e3);
        underWay = inFlight * count;
        latencies?.start();
        for (const caller of callers) {
          for (let i = 0; i < inFlight; i++) caller.ask();
        }
        for (const outbox of outboxes) outbox.flush();
      });

    await exchangeFor(warmUpSeconds);
    return {
      async run() {
        const before = answered.count;
        await exchangeFor(seconds);
        return { count: answered.count - before, waiting: 'sleep', ...latencies?.facts() };
      },
      verify() {
        const sent = new Tally();
        for (const [index, caller] of callers.entries()) {
          sent.addKnown(index, count, caller.sentCount, payloadBytes);
        }
        return {
          sentCount: sent.count,
          sentChecksum: sent.checksum,
          answeredCount: answered.count,
          answeredChecksum: answered.checksum,
        };
      },
      close() {
        for (const socket of sockets) socket.destroy();
      },
    };
  },
});
