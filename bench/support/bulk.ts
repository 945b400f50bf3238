/** What the programs of the case `bulk` have in common, where messages are a library's own. */
import { randomFillSync } from 'node:crypto';
import { checksum } from './checksum.js';
import { type ClientRole, type ServerRole, setting } from './program.js';
import type { Settings } from './types.js';

function checksumOf(parts: readonly Uint8Array[]): string {
  return parts.reduce((sum, part) => checksum(part, sum), 0).toString(16);
}

/** Takes messages and keeps the last ones, to be compared after the clock has stopped. */
export class BulkReceiver {
  storedBytes = 0;
  readonly #kept: Uint8Array[] = [];
  readonly #keptMax: number;
  readonly #messageBytes: number;
  #next = 0;

  constructor(settings: Settings) {
    this.#keptMax = setting(settings, 'kept-messages', 8);
    this.#messageBytes = setting(settings, 'message-bytes', 2 ** 20);
  }

  /** Returns the message that is kept no more. */
  take(message: Uint8Array): Uint8Array | undefined {
    if (message.length !== this.#messageBytes) throw new RangeError(`${message.length} bytes came`);
    const replaced = this.#kept[this.#next];
    this.#kept[this.#next] = message;
    this.#next = (this.#next + 1) % this.#keptMax;
    this.storedBytes += message.length;
    return replaced;
  }

  role(address: string, close: () => void | Promise<void>): ServerRole {
    return {
      address,
      verify: () => ({
        storedBytes: this.storedBytes,
        storedChecksum: checksumOf(this.#kept),
      }),
      close,
    };
  }
}

/** Sends a few messages over and over, with room for a header in front of each. */
export class BulkSender {
  readonly #headerBytes: number;
  readonly #messages: readonly Buffer[];
  readonly #count: number;

  constructor(settings: Settings, headerBytes = 0) {
    this.#headerBytes = headerBytes;
    const messageBytes = setting(settings, 'message-bytes', 2 ** 20);
    this.#count = Math.ceil(setting(settings, 'bytes', 2 ** 31) / messageBytes);
    const kept = Math.min(this.#count, setting(settings, 'kept-messages', 8));
    this.#messages = Array.from({ length: kept }, () =>
      randomFillSync(Buffer.allocUnsafeSlow(headerBytes + messageBytes)),
    );
  }

  *#sequence(): Generator<Buffer> {
    const { length } = this.#messages;
    for (let i = 0; i < this.#count; i++) yield this.#messages[i % length] as Buffer; // Inside.
  }

  /** `sendAll` sends each message, in order, and resolves with how many bytes the receiver says to have. */
  role(library: {
    sendAll(messages: Iterable<Buffer>): Promise<number>;
    close(): void | Promise<void>;
  }): ClientRole {
    return {
      run: async () => ({ bytes: await library.sendAll(this.#sequence()) }),
      verify: () => ({
        sentChecksum: checksumOf(
          this.#messages.map((message) => message.subarray(this.#headerBytes)),
        ),
      }),
      close: () => library.close(),
    };
  }
}
