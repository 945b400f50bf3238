import { checkDuration, checkInteger, checkOneOf } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';
import { frameBytesMaxDefault, frameBytesMaxLeast, frameBytesMaxMost } from '../wire/frame.js';
import type { Address } from './address.js';
import type { ChannelOptions, PathChoice } from './frame-channel.js';

/** Payloads up to this are copied by `send`; larger ones are referenced. */
export const copyBytesMax: number = 16 * 1024;

/**
 * How stream data are cut, as in `native/socket/framed_stream.cc`: an urgent frame waits for the rest of one such chunk. The wire allows
 * twice as much.
 */
export const bulkChunkBytes: number = 128 * 1024;

/** `onDrain` is called when `queuedBytes` falls below the low mark after it was above the high one. */
export const queueBytesHigh: number = 1024 * 1024;
export const queueBytesLow: number = 256 * 1024;

const connectTimeoutMsDefault = 10_000;

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT */
export function frameBytesMaxOf(options: ChannelOptions): number {
  const { frameBytesMax = frameBytesMaxDefault } = options;
  return checkInteger('frameBytesMax', frameBytesMax, frameBytesMaxLeast, frameBytesMaxMost);
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT */
export function connectTimeoutMsOf(options: ChannelOptions): number {
  return checkDuration('connectTimeoutMs', options.connectTimeoutMs ?? connectTimeoutMsDefault);
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT, also when it pins another socket than that of `address` */
export function pathOf(options: ChannelOptions, address: Address): PathChoice {
  return checkOneOf('path', options.path ?? 'auto', ['auto', address.scheme]);
}

const noBytes = new Uint8Array(0);

/** The payload that the arguments of `FrameChannel.send` mean. */
export function payloadOf(
  bytes: Uint8Array = noBytes,
  start = 0,
  end: number = bytes.length,
): Uint8Array {
  return end - start === bytes.length ? bytes : bytes.subarray(start, end);
}

export function checkPayloadBytes(payloadBytes: number, frameBytesMax: number): void {
  if (payloadBytes <= frameBytesMax) return;
  throw new PaipaiError(
    'PAIPAI_ERR_FRAME_TOO_LARGE',
    `a payload of ${payloadBytes} bytes is above the limit of ${frameBytesMax} bytes a frame`,
  );
}

export function abortedError(address: string, signal: AbortSignal): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_ABORTED', `connecting to ${address} was aborted`, {
    cause: signal.reason,
    address,
  });
}

/** Follows a queue across its marks. */
export class DrainMark {
  #wasHigh = false;

  /** The queue has grown. */
  raised(queuedBytes: number): void {
    if (queuedBytes > queueBytesHigh) this.#wasHigh = true;
  }

  /** The queue has shrunk, perhaps some time ago; true when this is the moment for `onDrain`. */
  lowered(queuedBytes: number): boolean {
    if (!this.#wasHigh || queuedBytes >= queueBytesLow) return false;
    this.#wasHigh = false;
    return true;
  }
}
