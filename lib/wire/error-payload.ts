import { codeNumbers, codeOfNumber } from '../base/codes.js';
import { PaipaiError, type PaipaiErrorDetails, phraseOf, toError } from '../base/errors.js';
import { metadataBytesMax } from './frame.js';
import { decodeValue, encodeValue } from './values.js';

/** How a failure travels in ERROR, STREAM_RESET and GOODBYE: its number as argument, `{ message, details? }` as payload. */
export interface EncodedError {
  readonly number: number;
  readonly payload: Uint8Array;
}

/** Together with the names of the fields they stay below `metadataBytesMax`. */
const longTextBytesMax = 16 * 1024;
const shortTextBytesMax = 1024;

const textFields = [
  'nodeId',
  'dataId',
  'address',
  'method',
  'handler',
  'syscall',
  'stderr',
] as const;
const numberFields = ['shardIndex', 'mapVersion', 'errno'] as const;

/** For what was thrown and throws itself when it is looked at. */
export const unreadableMessage = 'what was thrown cannot be read';

/** A PaipaiError keeps its code, message and fields; anything else becomes PAIPAI_ERR_REMOTE with its message. Never fails. */
export function encodeError(thrown: unknown): EncodedError {
  const error = (look(() => toError(thrown)) ?? new Error(unreadableMessage)) as Error &
    Record<string, unknown>; // Fields are looked at one by one.
  const details: Record<string, string | number> = {};
  for (const field of textFields) {
    const text = look(() => error[field]);
    if (typeof text !== 'string') continue;
    // Of what a process wrote before it died, the end says why.
    details[field] = field === 'stderr' ? lastPart(text) : firstPart(text, shortTextBytesMax);
  }
  for (const field of numberFields) {
    const number = look(() => error[field]);
    if (typeof number === 'number') details[field] = number;
  }
  const words = look(() => String(error.message)) ?? unreadableMessage;
  const message = firstPart(words, longTextBytesMax);
  return {
    number:
      look(() => (error instanceof PaipaiError ? error.number : undefined)) ??
      codeNumbers.PAIPAI_ERR_REMOTE,
    payload: encodeValue(Object.keys(details).length > 0 ? { message, details } : { message }),
  };
}

/**
 * The failure the other side described. An unknown number, as of a later version, becomes PAIPAI_ERR_REMOTE; an empty payload
 * leaves the words of the code. What cannot be read is PAIPAI_ERR_PROTOCOL, as a value too: it is thrown nowhere.
 */
export function decodeError(number: number, payload: Uint8Array): PaipaiError {
  const code = codeOfNumber(number) ?? 'PAIPAI_ERR_REMOTE';
  if (payload.length === 0) return new PaipaiError(code, `the peer says: ${phraseOf(code)}`);
  if (payload.length > metadataBytesMax) return unreadable(`it has ${payload.length} bytes`);
  let value: unknown;
  try {
    value = decodeValue(payload);
  } catch (cause) {
    return unreadable('it is no value', cause);
  }
  if (!isRecord(value) || typeof value['message'] !== 'string')
    return unreadable('it has no message');
  return new PaipaiError(code, value['message'], readDetails(value['details']));
}

function readDetails(value: unknown): PaipaiErrorDetails {
  const details: Record<string, string | number> = {};
  if (!isRecord(value)) return details;
  for (const field of textFields) {
    const text = value[field];
    if (typeof text === 'string') details[field] = text;
  }
  for (const field of numberFields) {
    const number = value[field];
    if (typeof number === 'number' && Number.isSafeInteger(number)) details[field] = number;
  }
  return details;
}

/** Undefined when a getter or a conversion throws. */
function look<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function unreadable(why: string, cause?: unknown): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_PROTOCOL',
    `the peer sent an error that cannot be read: ${why}`,
    { cause },
  );
}

/** `toString` puts a replacement character where a cut went through a letter or a surrogate pair was broken before. */
function firstPart(text: string, bytesMax: number): string {
  return Buffer.from(text).subarray(0, bytesMax).toString();
}

function lastPart(text: string): string {
  return Buffer.from(text).subarray(-longTextBytesMax).toString();
}
