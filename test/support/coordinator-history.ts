import type { Change, CompareAndSetResult, KeyState } from '../../dist/coordination/coordinator.js';

/** One call on one key, with the moments of its call and its answer: any count that only grows. */
export interface RecordedCall {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly result: KeyState | CompareAndSetResult;
  /** Of a compareAndSet. */
  readonly write?: { readonly expectedVersion: number; readonly value: Uint8Array | undefined };
}

/**
 * What is wrong with a history of one key, or undefined when it is linearizable.
 *
 * The versions give the order of the writes, so the moment of each call is known but for its place among reads of the same state. What
 * is left to see is that each answer fits the state at its moment, that each change was made by one call, and that a call that began
 * after another had ended is not before it.
 * @param changes all there were, in order
 */
export function flawOf(
  calls: readonly RecordedCall[],
  changes: readonly Change[],
): string | undefined {
  const momentOf = ({ asOf }: KeyState): number =>
    changes.filter(({ version }) => version <= asOf).length;
  const stateAfter = (count: number): { version: number; value: Uint8Array | undefined } => {
    const change = changes[count - 1];
    return change?.value === undefined ? { version: 0, value: undefined } : change;
  };
  const writers = new Array<number>(changes.length).fill(0);
  for (const [at, { result, write }] of calls.entries()) {
    const moment = momentOf(result);
    const state = stateAfter(moment);
    if (result.version !== state.version || !isSame(result.value, state.value)) {
      return `call ${at} answers with version ${result.version} where it was ${state.version}`;
    }
    if (write === undefined) continue;
    if (!isSet(result)) {
      if (write.expectedVersion === state.version) return `call ${at} is refused what it expected`;
      continue;
    }
    if (moment === 0) return `call ${at} is set and changed nothing`;
    writers[moment - 1] = (writers[moment - 1] ?? 0) + 1;
    const before = stateAfter(moment - 1);
    if (write.expectedVersion !== before.version) {
      return `call ${at} expected ${write.expectedVersion} and replaced ${before.version}`;
    }
    if (!isSame(write.value, state.value)) return `call ${at} set something else`;
  }
  const orphan = writers.findIndex((count) => count !== 1);
  if (orphan >= 0) return `change ${orphan} was made by ${writers[orphan]} calls`;
  for (const [at, earlier] of calls.entries()) {
    for (const [otherAt, later] of calls.entries()) {
      if (earlier.endedAt >= later.startedAt) continue;
      const ahead = momentOf(later.result) - momentOf(earlier.result);
      if (ahead < (isSet(later.result) ? 1 : 0)) return `call ${otherAt} is before call ${at}`;
    }
  }
  return undefined;
}

function isSet(result: KeyState | CompareAndSetResult): boolean {
  return 'isSet' in result && result.isSet;
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}
