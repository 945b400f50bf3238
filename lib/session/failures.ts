import type { PaipaiCode } from '../base/codes.js';
import { PaipaiError, toError } from '../base/errors.js';
import { type EncodedError, encodeError, unreadableMessage } from '../wire/error-payload.js';
import { noBytes } from './payload.js';

/** The failures that a session reports, worded once. */

export function protocolError(what: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', `the peer broke the rules of the session: ${what}`);
}

export function peerClosed(address: string, tried: string, cause: Error | null): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_PEER_CLOSED',
    `${tried}: the connection with ${address} ended${cause === null ? '' : ` (${cause.message})`}`,
    cause === null ? { address } : { address, cause },
  );
}

/** For new work at a session that closes, or has closed. */
export function sessionClosed(address: string, tried: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_CLOSED',
    `${tried}: the session with ${address} is closed; connect again`,
    { address },
  );
}

export function deadlinePassed(tried: string, deadlineMs: number): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_DEADLINE', `${tried}: not done after ${deadlineMs} ms`);
}

export function aborted(tried: string, signal: AbortSignal): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_ABORTED', `${tried}: aborted by the caller`, {
    cause: signal.reason,
  });
}

/** What was thrown as a PaipaiError: itself, or wrapped under `code` with the same message. Never fails. */
export function asPaipaiError(thrown: unknown, code: PaipaiCode): PaipaiError {
  try {
    if (thrown instanceof PaipaiError) return thrown;
    const error = toError(thrown);
    return new PaipaiError(code, error.message, { cause: error });
  } catch {
    return new PaipaiError(code, unreadableMessage, { cause: thrown });
  }
}

/** How `thrown` travels; what is too long for a frame goes without its words. */
export function encodeFailure(thrown: unknown, frameBytesMax: number): EncodedError {
  const { number, payload } = encodeError(thrown);
  return { number, payload: payload.length > frameBytesMax ? noBytes : payload };
}
