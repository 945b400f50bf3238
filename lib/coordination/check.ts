import {
  checkDuration,
  checkInteger,
  checkObject,
  checkSignal,
  checkString,
  describe,
  invalidArgument,
} from '../base/check.js';
import {
  type CallOptions,
  callDeadlineMsDefault,
  type KeyVersion,
  keyBytesMax,
  type ListOptions,
  leaseTtlMsMax,
  leaseTtlMsMin,
  listKeysMax,
  type SetOptions,
  type Txn,
  type TxnSet,
  txnKeysMax,
  valueBytesMax,
  type WatchOptions,
} from './coordinator.js';

/** What callers of any backend can get wrong. Each throws PAIPAI_ERR_INVALID_ARGUMENT. */

export function checkKey(key: unknown): string {
  return checkWellFormed('key', checkString('key', key, keyBytesMax));
}

/** Half a surrogate pair has no UTF-8: different keys would be the same one elsewhere. */
function checkWellFormed(name: string, text: string): string {
  if (/\p{Surrogate}/u.test(text)) throw invalidArgument(name, 'well-formed text', text);
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

export function checkLeaseId(leaseId: unknown): number {
  return checkInteger('leaseId', leaseId, 1, Number.MAX_SAFE_INTEGER);
}

export function checkTtl(ttlMs: unknown): number {
  return checkInteger('ttlMs', ttlMs, leaseTtlMsMin, leaseTtlMsMax);
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
  checkObject('options', options);
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
  checkObject('options', options);
  return {
    after: checkVersion('after', options.after),
    signal: checkSignal('signal', options.signal),
  };
}

export interface SetSettings extends CallSettings {
  readonly leaseId: number | undefined;
}

/** @param isDeletion which no lease ends */
export function checkSetOptions(options: SetOptions, isDeletion: boolean): SetSettings {
  const settings = checkCallOptions(options);
  return { ...settings, leaseId: checkLease(options.leaseId, isDeletion) };
}

function checkLease(leaseId: unknown, isDeletion: boolean): number | undefined {
  if (leaseId === undefined) return undefined;
  if (isDeletion) throw invalidArgument('leaseId', 'undefined for a deletion', leaseId);
  return checkLeaseId(leaseId);
}

export interface ListSettings extends CallSettings {
  readonly prefix: string;
  readonly limit: number;
  readonly after: string | undefined;
}

export function checkList(prefix: unknown, options: ListOptions): ListSettings {
  const settings = checkCallOptions(options);
  const { limit = listKeysMax, after } = options;
  return {
    ...settings,
    prefix:
      prefix === '' ? '' : checkWellFormed('prefix', checkString('prefix', prefix, keyBytesMax)),
    limit: checkInteger('limit', limit, 1, listKeysMax),
    after: after === undefined ? undefined : checkKey(after),
  };
}

/** What is to be done, with copies of the values, so that the caller may go on with its bytes. */
export interface CheckedTxn {
  readonly expect: readonly KeyVersion[];
  readonly set: readonly TxnSet[];
}

export function checkTxn(txn: Txn): CheckedTxn {
  checkObject('txn', txn);
  const expect = checkArray('txn.expect', txn.expect).map((one) => {
    checkObject('txn.expect', one);
    const { key, version } = one as Partial<KeyVersion>; // Looked at below.
    return { key: checkKey(key), version: checkVersion('version', version) };
  });
  const set = checkArray('txn.set', txn.set).map((one) => {
    checkObject('txn.set', one);
    const { key, value, leaseId } = one as Partial<TxnSet>; // Looked at below.
    const bytes = value === undefined ? undefined : copyOfValue(value, 0);
    return { key: checkKey(key), value: bytes, leaseId: checkLease(leaseId, value === undefined) };
  });
  checkDifferent('txn.expect', expect);
  checkDifferent('txn.set', set);
  checkTxnSize(new Set([...expect, ...set].map(({ key }) => key)).size, set);
  return { expect, set };
}

function checkArray(name: string, list: unknown): readonly unknown[] {
  if (list === undefined) return [];
  if (Array.isArray(list)) return list;
  throw invalidArgument(name, 'an array', list);
}

function checkDifferent(name: string, list: readonly { readonly key: string }[]): void {
  const keys = new Set<string>();
  for (const { key } of list) {
    if (keys.has(key)) throw invalidArgument(name, 'of different keys', `twice ${describe(key)}`);
    keys.add(key);
  }
}

function checkTxnSize(keyCount: number, set: readonly TxnSet[]): void {
  if (keyCount > txnKeysMax)
    throw invalidArgument('txn', `of ${txnKeysMax} keys or fewer`, keyCount);
  const valueBytes = set.reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0);
  if (valueBytes <= valueBytesMax) return;
  throw invalidArgument('txn', `of at most ${valueBytesMax} bytes of values`, valueBytes);
}
