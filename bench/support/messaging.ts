/**
 * The message cases over a library that carries whole messages: an adapter says how that library listens, connects and sends,
 * and the programs here do the same work with each.
 */
import { fillContent, messageBytesOf, Tally } from './content.js';
import { type Course, ExchangeClient, exchangePlanOf, takingServer } from './exchange.js';
import type { Program } from './program.js';
import { PacedSender, streamClient, takeNext } from './stream.js';
import type { Settings } from './types.js';

/** Whom a message came from. */
export interface Replier {
  /** Sends a message that is left unchanged from then on. False: it is better to wait for room first. */
  send(message: Buffer): boolean;
}

export interface Link extends Replier {
  /** Resolves when there is room. */
  drained(): Promise<void>;
  close(): void;
}

export interface Messaging {
  /** Listens where `settings` say; `onMessage` may keep the message. */
  listen(
    settings: Settings,
    onMessage: (message: Buffer, from: Replier) => void,
  ): Promise<{ readonly address: string; close(): void }>;
  /**
   * Resolves when messages can be sent. `isBounded`: whoever sends bounds what is under way, and never asks for `drained`.
   */
  connect(
    settings: Settings,
    address: string,
    onMessage: (message: Buffer) => void,
    isBounded: boolean,
  ): Promise<Link>;
}

const slabBytes = 256 * 1024;

/** Makes messages, each in memory of its own, since a library may refer to them until the system has taken them. */
class Messages {
  readonly #payloadBytes: number;
  #words: Int32Array = new Int32Array(0);
  #bytes: Buffer = Buffer.alloc(0);
  #used = 0;

  constructor(payloadBytes: number) {
    this.#payloadBytes = payloadBytes;
  }

  make(number: number): Buffer {
    if (this.#used + this.#payloadBytes > this.#bytes.length) {
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(slabBytes, this.#payloadBytes));
      this.#words = new Int32Array(this.#bytes.buffer);
      this.#used = 0;
    }
    const start = this.#used;
    const end = start + this.#payloadBytes;
    this.#used = end;
    fillContent(this.#words, start / 4, end / 4, number);
    return this.#bytes.subarray(start, end);
  }
}

/** The cases `pingpong`, `requests` and `connections`. */
export function exchangeOver({ listen, connect }: Messaging): Program {
  return {
    async server(settings) {
      const { payloadBytes } = exchangePlanOf(settings);
      const taken = new Tally();
      const { address, close } = await listen(settings, (message, from) => {
        taken.addBytes(message, payloadBytes);
        from.send(message);
      });
      return takingServer(address, taken, close);
    },

    async client(settings, address) {
      const client = new ExchangeClient(exchangePlanOf(settings));
      const { payloadBytes } = client.plan;
      const messages = new Messages(payloadBytes);
      const links: Link[] = [];
      const ask = (link: Link, course: Course): void => {
        link.send(messages.make(course.begin()));
      };
      const open = async (course: Course): Promise<void> => {
        const onAnswer = (message: Buffer): void => {
          const number = client.answered.addBytes(message, payloadBytes);
          if (client.answer(course, number)) ask(link, course);
          else client.settle();
        };
        const link = await connect(settings, address, onAnswer, true);
        links.push(link);
      };
      const askFirst = (index: number): void =>
        ask(links[index] as Link, client.courses[index] as Course); // One of each is open.
      return client.role({
        open,
        exchangeFor: (seconds) => client.exchangeFor(seconds, askFirst),
        close() {
          for (const link of links) link.close();
        },
      });
    },
  };
}

/** The case `stream`. A message without content asks the receiver to say how many have come. */
export function streamOver({ listen, connect }: Messaging): Program {
  return {
    async server(settings) {
      const payloadBytes = messageBytesOf(settings['message-bytes']);
      const taken = new Tally();
      const { address, close } = await listen(settings, (message, from) => {
        if (message.length > 0) {
          takeNext(taken, message, payloadBytes);
          return;
        }
        const confirmation = Buffer.alloc(4);
        confirmation.writeUInt32LE(taken.count >>> 0);
        from.send(confirmation);
      });
      return takingServer(address, taken, close);
    },

    async client(settings, address) {
      const messages = new Messages(messageBytesOf(settings['message-bytes']));
      let onConfirmed: (count: number) => void = () => {};
      const onMessage = (message: Buffer): void => onConfirmed(message.readUInt32LE());
      const link = await connect(settings, address, onMessage, false);
      const sender = new PacedSender(1, {
        send: (number) => link.send(messages.make(number)),
        drained: () => link.drained(),
        confirm() {
          const confirmed = new Promise<number>((resolve) => {
            onConfirmed = resolve;
          });
          link.send(Buffer.alloc(0));
          return confirmed;
        },
        close: () => link.close(),
      });
      return streamClient(settings, sender);
    },
  };
}
