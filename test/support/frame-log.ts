import type { FrameReceiver, FrameView } from '../../dist/transport/frame-channel.js';
import { crc32c } from '../../dist/wire/crc32c.js';

/** One received frame; the payload itself is kept where it is small. */
export interface LoggedFrame {
  type: number;
  flags: number;
  name: number;
  streamId: number;
  argument: number;
  payloadBytes: number;
  payloadCrc32c: number;
  payload: Uint8Array | undefined;
  /** What had landed in sinks before this frame, all streams together. */
  landedBefore: number;
}

export interface LoggedSink {
  landedBytes: number;
  crc32c: number;
}

/** A receiver that writes down what it is told, and lets a test wait for it. */
export class FrameLog implements FrameReceiver {
  readonly frames: LoggedFrame[] = [];
  readonly sinks: Map<number, LoggedSink> = new Map();
  readonly closes: (Error | null)[] = [];
  drains = 0;
  #onChange: (() => void)[] = [];

  onFrame(frame: FrameView): void {
    const { type, flags, name, streamId, argument, bytes, start, end } = frame;
    this.frames.push({
      type,
      flags,
      name,
      streamId,
      argument,
      payloadBytes: end - start,
      payloadCrc32c: crc32c(bytes, start, end),
      payload: end - start <= 1024 ? new Uint8Array(bytes.subarray(start, end)) : undefined,
      landedBefore: this.landedBytes,
    });
    this.#changed();
  }

  onSink(streamId: number, landedBytes: number, sum: number): void {
    this.sinks.set(streamId, { landedBytes, crc32c: sum });
    this.#changed();
  }

  onDrain(): void {
    this.drains++;
    this.#changed();
  }

  onClose(error: Error | null): void {
    this.closes.push(error);
    this.#changed();
  }

  get landedBytes(): number {
    let sum = 0;
    for (const { landedBytes } of this.sinks.values()) sum += landedBytes;
    return sum;
  }

  /** Settles as soon as `condition` holds; it is asked at every event. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#onChange.push(resolve));
  }

  async frameCount(count: number): Promise<void> {
    await this.until(() => this.frames.length >= count);
  }

  async closed(): Promise<Error | null> {
    await this.until(() => this.closes.length > 0);
    return this.closes[0] ?? null;
  }

  #changed(): void {
    const waiting = this.#onChange;
    this.#onChange = [];
    for (const resolve of waiting) resolve();
  }
}
