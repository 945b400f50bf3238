import { PaipaiError } from '../base/errors.js';
import { FrameType } from './frame.js';
import { readU32 } from './little-endian.js';

/**
 * The payload of REQUESTS, RESPONSES and MESSAGES: small payloads one behind the other, each padded with zeros to a multiple of 8.
 *
 *     | id u32 | bytes u32 | payload ... | id | bytes | ...
 */
export const severalItemBytes = 8;

/** A payload longer than this travels alone: what it saves is then little beside it. */
export const gatheredBytesMax = 1024;

/** The type that each of them would have alone. */
export function oneOf(several: number): number {
  if (several === FrameType.requests) return FrameType.request;
  return several === FrameType.responses ? FrameType.response : FrameType.message;
}

export function padded(payloadBytes: number): number {
  return (payloadBytes + 7) & ~7;
}

/** Null when `bytes` from `start` to `end` is that, none of them longer than `frameBytesMax`. */
export function checkSeveral(
  bytes: Uint8Array,
  start: number,
  end: number,
  frameBytesMax: number,
): PaipaiError | null {
  if (start === end) return malformed('it is empty');
  for (let at = start; at < end; ) {
    if (end - at < severalItemBytes) return malformed('it ends inside of one');
    const payloadBytes = readU32(bytes, at + 4);
    if (payloadBytes > frameBytesMax) {
      return new PaipaiError(
        'PAIPAI_ERR_FRAME_TOO_LARGE',
        `one of several payloads has ${payloadBytes} bytes; the limit is ${frameBytesMax}`,
      );
    }
    at += severalItemBytes + padded(payloadBytes);
    if (at > end) return malformed(`one of ${payloadBytes} bytes does not fit`);
  }
  return null;
}

function malformed(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `a frame of several is malformed: ${why}`);
}
