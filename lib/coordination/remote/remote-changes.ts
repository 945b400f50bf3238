import type { PeerStream } from '../../session/types.js';
import type { Change } from '../coordinator.js';
import { changeHeaderBytes, decodeChangeHeader, malformed, watchKeyMethod } from '../messages.js';
import type { ChangeSource } from '../stream-watch.js';

/** Changes on a stream of a session. What has come and was not asked for yet is bounded by the window of the stream. */
export class RemoteChanges implements ChangeSource {
  readonly #stream: PeerStream;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #key: string;
  /** Of the chunk that came last what belongs to no change yet. */
  #rest: Uint8Array = new Uint8Array(0);
  /** Of the change told last. */
  #version: number;

  constructor(stream: PeerStream, key: string, after: number) {
    this.#stream = stream;
    this.#chunks = stream[Symbol.asyncIterator]();
    this.#key = key;
    this.#version = after;
  }

  get signal(): AbortSignal {
    return this.#stream.signal;
  }

  async next(): Promise<Change> {
    const { version, valueBytes } = decodeChangeHeader(await this.#take(changeHeaderBytes));
    if (version <= this.#version) {
      throw malformed(watchKeyMethod, `it tells of version ${version} after ${this.#version}`);
    }
    const value = valueBytes === undefined ? undefined : await this.#take(valueBytes);
    this.#version = version;
    return { key: this.#key, version, value };
  }

  cancel(reason: Error): void {
    this.#rest = new Uint8Array(0);
    this.#stream.reset(reason);
  }

  /** The next bytes of the stream, a copy. */
  async #take(byteCount: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(byteCount);
    for (let filled = 0; filled < byteCount; ) {
      if (this.#rest.byteLength === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) {
          throw malformed(watchKeyMethod, 'it ended where nobody has ended it');
        }
        this.#rest = next.value;
      }
      const part = this.#rest.subarray(0, byteCount - filled);
      bytes.set(part, filled);
      filled += part.byteLength;
      this.#rest = this.#rest.subarray(part.byteLength);
    }
    return bytes;
  }
}
