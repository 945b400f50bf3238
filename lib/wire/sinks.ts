import { combineCrc32c } from './crc32c.js';

/** Where the payloads of one stream go, and what of them is checked. */
export interface Sink {
  readonly target: Uint8Array;
  readonly landedBytes: number;
  readonly crc32c: number;
}

interface OpenSink extends Sink {
  landedBytes: number;
  crc32c: number;
  /** Something landed that nobody was told of yet. */
  untold: boolean;
}

/** Bytes that landed in the sink of a stream: their count and CRC32C since it was set. */
export type OnSink = (streamId: number, landedBytes: number, crc32c: number) => void;

/** The sinks of one connection. `onSink` may set and clear sinks. */
export class SinkTable {
  readonly #sinks = new Map<number, OpenSink>();
  readonly #onSink: OnSink;
  #someUntold = false;

  constructor(onSink: OnSink) {
    this.#onSink = onSink;
  }

  set(streamId: number, target: Uint8Array): void {
    this.#sinks.set(streamId, { target, landedBytes: 0, crc32c: 0, untold: false });
  }

  /** Lets go of the target. Returns the sink that was there. */
  clear(streamId: number): Sink | null {
    const sink = this.#sinks.get(streamId) ?? null;
    this.#sinks.delete(streamId);
    return sink;
  }

  clearAll(): void {
    this.#sinks.clear();
  }

  get(streamId: number): Sink | null {
    return this.#sinks.size === 0 ? null : (this.#sinks.get(streamId) ?? null);
  }

  /** Counts bytes that lie behind the landed ones and are checked; `crc32c` is theirs alone. */
  land(streamId: number, byteCount: number, crc32c: number): void {
    const sink = this.#sinks.get(streamId);
    if (sink === undefined) return;
    sink.crc32c = combineCrc32c(sink.crc32c, crc32c, byteCount);
    sink.landedBytes += byteCount;
    sink.untold = true;
    this.#someUntold = true;
  }

  /** Tells what landed on one stream, before something else on that stream is told. */
  tell(streamId: number): void {
    if (!this.#someUntold) return;
    const sink = this.#sinks.get(streamId);
    if (sink?.untold) this.#tell(streamId, sink);
  }

  /** Tells what landed anywhere, at the end of a batch. */
  tellAll(): void {
    if (!this.#someUntold) return;
    this.#someUntold = false;
    for (const [streamId, sink] of this.#sinks) {
      if (sink.untold) this.#tell(streamId, sink);
    }
  }

  #tell(streamId: number, sink: OpenSink): void {
    sink.untold = false;
    this.#onSink(streamId, sink.landedBytes, sink.crc32c);
  }
}
