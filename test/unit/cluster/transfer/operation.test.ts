import { describe, expect, test } from 'vitest';
import { Operation } from '../../../../dist/cluster/transfer/operation.js';
import { ManualTime } from '../../../support/test-env.js';

describe('an operation', () => {
  test('that goes well says nothing', () => {
    const time = new ManualTime();
    const operation = new Operation(time.env(), 'work', { deadlineMs: 100 });
    time.advance(99);
    expect(operation.remainingMs()).toBe(1);
    operation.throwIfFailed();
    operation.close();
    time.advance(1_000);
    expect(operation.hasFailed).toBe(false);
  });

  test('ends at its deadline', () => {
    const time = new ManualTime();
    const operation = new Operation(time.env(), 'the work', { deadlineMs: 100 });
    time.advance(100);
    expect(operation.signal.aborted).toBe(true);
    expect(() => operation.throwIfFailed()).toThrow(
      expect.objectContaining({
        code: 'PAIPAI_ERR_DEADLINE',
        message: 'the work did not finish within 100 ms',
      }),
    );
    expect(operation.remainingMs()).toBe(1);
  });

  test('without a deadline it sets no timer', () => {
    const time = new ManualTime();
    const operation = new Operation(time.env(), 'work', { deadlineMs: Infinity });
    expect(time.timerCount).toBe(0);
    expect(operation.remainingMs()).toBe(Infinity);
  });

  test('ends with its caller, also one that has gone before', () => {
    const env = new ManualTime().env();
    const abort = new AbortController();
    const operation = new Operation(env, 'work', { deadlineMs: Infinity, signal: abort.signal });
    abort.abort('enough');
    const late = new Operation(env, 'work', { deadlineMs: Infinity, signal: abort.signal });
    for (const { signal } of [operation, late]) {
      expect(signal.reason).toMatchObject({ code: 'PAIPAI_ERR_ABORTED', cause: 'enough' });
    }
  });

  test('once closed it does not hear its caller any more', () => {
    const abort = new AbortController();
    const operation = new Operation(new ManualTime().env(), 'work', {
      deadlineMs: 10,
      signal: abort.signal,
    });
    operation.close();
    abort.abort();
    expect(operation.hasFailed).toBe(false);
  });

  test('keeps its first failure', () => {
    const operation = new Operation(new ManualTime().env(), 'work', { deadlineMs: Infinity });
    operation.fail(new Error('first'));
    operation.fail(new Error('second'));
    expect(() => operation.throwIfFailed()).toThrow('first');
    expect(operation.signal.reason).toMatchObject({ message: 'first' });
  });

  test('a race ends with the work or with the operation', async () => {
    const env = new ManualTime().env();
    const operation = new Operation(env, 'work', { deadlineMs: Infinity });
    expect(await operation.race(Promise.resolve(7))).toBe(7);
    await expect(operation.race(Promise.reject(new Error('own')))).rejects.toThrow('own');
    const waiting = operation.race(new Promise(() => {}));
    operation.fail(new Error('over'));
    await expect(waiting).rejects.toThrow('over');
    await expect(operation.race(new Promise(() => {}))).rejects.toThrow('over');
  });
});
