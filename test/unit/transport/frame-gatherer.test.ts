import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { GatherBuffers } from '../../../dist/transport/frame-gatherer.js';

const keptCount = 16;

/** Has `count` buffers lent at once, then gives them all back. */
function lend(pool: GatherBuffers, count: number): Set<Uint8Array> {
  const buffers = new Set<Uint8Array>();
  for (let i = 0; i < count; i++) buffers.add(pool.acquire());
  for (const buffer of buffers) pool.release(buffer);
  return buffers;
}

/** In a function of its own, since a test's own variables outlive what it waits for. */
function referencesTo(buffers: Set<Uint8Array>): WeakRef<Uint8Array>[] {
  return [...buffers].map((buffer) => new WeakRef(buffer));
}

describe('buffers to gather in', () => {
  test('one that was given back is lent again', () => {
    const pool = new GatherBuffers();
    const buffer = pool.acquire();
    pool.release(buffer);
    expect(pool.acquire()).toBe(buffer);
    expect(pool.acquire()).not.toBe(buffer);
  });

  test.each([keptCount - 1, keptCount, keptCount + 1, 512])(
    'a queue of %i is gathered in those of the queue before',
    (count) => {
      const pool = new GatherBuffers();
      const first = lend(pool, count);
      const second = lend(pool, count);
      expect(second.size).toBe(count);
      expect([...second].every((buffer) => first.has(buffer))).toBe(true);
    },
  );

  test('those beyond the spare ones are the collector’s', async () => {
    const pool = new GatherBuffers();
    const references = referencesTo(lend(pool, 2 * keptCount));
    // Within this turn a WeakRef keeps what it refers to.
    await setImmediate();
    globalThis.gc?.();
    expect(references.filter((reference) => reference.deref() !== undefined)).toHaveLength(
      keptCount,
    );
    expect(lend(pool, 2 * keptCount).size).toBe(2 * keptCount);
  });
});
