/** What the programs of the case `stream` have in common, whatever library carries their messages. */
import { messageBytesOf, Tally } from './content.js';
import { type ClientRole, setting, warmUpSeconds } from './program.js';
import type { Settings } from './types.js';

/** What a sender does: sends messages for so long, and resolves when the receiver has confirmed the last. */
export interface StreamSender {
  /** Messages sent since it began; the number of the next one. */
  readonly sentCount: number;
  streamFor(seconds: number): Promise<void>;
  close(): void | Promise<void>;
}

/** How a library carries a stream. */
export interface StreamLibrary {
  /** Sends `count` messages, numbered from `first`. False: it is better to wait for room first. */
  send(first: number, count: number): boolean;
  /** Resolves when there is room. */
  drained(): Promise<void>;
  /** How many messages the receiver says to have, once all that were sent have come. */
  confirm(): Promise<number>;
  close(): void | Promise<void>;
}

/** Messages between two looks at the clock. */
const sendsPerLook = 128;

/** Sends one message after the other, and waits when the library says so. */
export class PacedSender implements StreamSender {
  sentCount = 0;
  readonly #library: StreamLibrary;
  readonly #together: number;

  /** @param together messages in one call */
  constructor(together: number, library: StreamLibrary) {
    this.#together = together;
    this.#library = library;
  }

  async streamFor(seconds: number): Promise<void> {
    const library = this.#library;
    const untilMs = performance.now() + seconds * 1e3;
    while (performance.now() < untilMs) {
      for (let i = 0; i < sendsPerLook; i += this.#together) {
        const first = this.sentCount;
        this.sentCount += this.#together;
        if (!library.send(first, this.#together)) await library.drained();
      }
    }
    checkConfirmed(await library.confirm(), this.sentCount);
  }

  close(): void | Promise<void> {
    return this.#library.close();
  }
}

/** The role of `sender`, once it has run warm. */
export async function streamClient(settings: Settings, sender: StreamSender): Promise<ClientRole> {
  const payloadBytes = messageBytesOf(settings['message-bytes']);
  const seconds = setting(settings, 'seconds', 2);
  await sender.streamFor(warmUpSeconds);
  return {
    async run() {
      const before = sender.sentCount;
      await sender.streamFor(seconds);
      return { count: sender.sentCount - before };
    },
    verify() {
      const sent = new Tally();
      sent.addKnown(0, 1, sender.sentCount, payloadBytes);
      return { sentCount: sent.count, sentChecksum: sent.checksum };
    },
    close: () => sender.close(),
  };
}

/** Adds a message that comes in the order of numbers. */
export function takeNext(taken: Tally, payload: Uint8Array, payloadBytes: number): void {
  const expected = taken.count >>> 0;
  const number = taken.addBytes(payload, payloadBytes);
  if (number !== expected) throw new Error(`message ${number} came out of order`);
}

/** The receiver has confirmed `confirmed` of `sent` messages; it counts up to 2^32. */
export function checkConfirmed(confirmed: number, sent: number): void {
  if (confirmed !== sent >>> 0) throw new Error(`${confirmed} of ${sent} messages were confirmed`);
}
