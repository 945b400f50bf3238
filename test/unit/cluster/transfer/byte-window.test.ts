import { describe, expect, test } from 'vitest';
import { ByteWindow } from '../../../../dist/cluster/transfer/byte-window.js';

const never = new AbortController().signal;

/** Settled promises are told apart from waiting ones by who is first. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const waiting = Symbol('waiting');
  await new Promise((resolve) => setImmediate(resolve));
  return (await Promise.race([promise, Promise.resolve(waiting)])) !== waiting;
}

describe('the window', () => {
  test('holds bytes up to its limit', () => {
    const window = new ByteWindow(10, 5);
    expect(window.tryAcquire(9)).toBe(true);
    expect(window.tryAcquire(2)).toBe(false);
    expect(window.tryAcquire(1)).toBe(true);
    window.release(9);
    expect(window.tryAcquire(9)).toBe(true);
  });

  test('holds pieces up to their count', () => {
    const window = new ByteWindow(10, 2);
    expect([window.tryAcquire(1), window.tryAcquire(1), window.tryAcquire(1)]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test('takes one piece that is larger than itself, alone', () => {
    const window = new ByteWindow(10, 5);
    expect(window.tryAcquire(11)).toBe(true);
    expect(window.tryAcquire(1)).toBe(false);
    window.release(11);
    expect(window.tryAcquire(1)).toBe(true);
    expect(window.tryAcquire(11)).toBe(false);
  });

  test('serves those who wait in their order, and nobody passes them', async () => {
    const window = new ByteWindow(10, 5);
    window.tryAcquire(10);
    const large = window.acquire(8, never);
    const small = window.acquire(1, never);
    expect(window.tryAcquire(0)).toBe(false);
    expect(await isSettled(small)).toBe(false);
    window.release(10);
    expect(await large).toBe(true);
    expect(await small).toBe(true);
    expect(window.tryAcquire(2)).toBe(false);
  });

  test('lets go of who gives up, and serves those behind', async () => {
    const window = new ByteWindow(10, 5);
    window.tryAcquire(9);
    const abort = new AbortController();
    const large = window.acquire(2, abort.signal);
    const small = window.acquire(1, never);
    abort.abort();
    expect(await large).toBe(false);
    expect(await small).toBe(true);
    expect(await window.acquire(1, abort.signal)).toBe(false);
    window.release(9);
    window.release(1);
    expect(window.tryAcquire(10)).toBe(true);
  });
});
