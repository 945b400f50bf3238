import {
  checkDuration,
  checkInteger,
  checkSignal,
  checkString,
  invalidArgument,
} from '../base/check.js';
import {
  type CallOptions,
  callDeadlineMsDefault,
  keyBytesMax,
  valueBytesMax,
  type WatchOptions,
} from './coordinator.js';

/** What callers of any backend can get wrong. Each throws PAIPAI_ERR_INVALID_ARGUMENT. */

export function checkKey(key: unknown): string {
  const text = checkString('key', key, keyBytesMax);
  // Half a surrogate pair has no UTF-8: different keys would be the same one elsewhere.
  if (/\p{Surrogate}/u.test(text)) throw invalidArgument('key', 'well-formed text', text);
  return text;
}

export function checkVersion(name: string, version: unknown): number {
  return checkInteger(name, version, 0, Number.MAX_SAFE_INTEGER);
}

/** @returns whether there is one */
export function checkValue(value: unknown, expectedVersion: number): value is Uint8Array {
  if (value === undefined && expectedVersion > 0) return false;
  if (value instanceof Uint8Array && value.byteLength <= valueBytesMax) return true;
  throw invalidArgument(
    'value',
    `0 to ${valueBytesMax} bytes, or undefined to delete a version above 0`,
    value instanceof Uint8Array ? `${value.byteLength} bytes` : value,
  );
}

/** A copy of the value, so that the caller may go on with its bytes. */
export function copyOfValue(value: unknown, expectedVersion: number): Uint8Array | undefined {
  return checkValue(value, expectedVersion) ? Uint8Array.from(value) : undefined;
}

export interface CallSettings {
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

export function checkCallOptions(options: CallOptions): CallSettings {
  checkObject(options);
  return {
    deadlineMs: checkDuration('deadlineMs', options.deadlineMs ?? callDeadlineMsDefault, true),
    signal: checkSignal('signal', options.signal),
  };
}

export interface WatchSettings {
  readonly after: number;
  readonly signal: AbortSignal | undefined;
}

export function checkWatchOptions(options: WatchOptions): WatchSettings {
  checkObject(options);
  return {
    after: checkVersion('after', options.after),
    signal: checkSignal('signal', options.signal),
  };
}

function checkObject(options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw invalidArgument('options', 'an object', options);
  }
}
