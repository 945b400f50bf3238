import { describe, expect, test } from 'vitest';
import type { Random, Timers } from '../../../dist/base/env.js';
import { type Faults, FaultyChannel } from '../../../dist/transport/faulty-channel.js';
import { bulkChunkBytes } from '../../../dist/transport/limits.js';
import { memoryChannelPair } from '../../../dist/transport/memory-channel.js';
import { FrameType, frameHeaderBytes } from '../../../dist/wire/frame.js';
import { FrameLog } from '../../support/frame-log.js';

const { message } = FrameType;

/** Time that a test moves: callbacks in the order of their time, then of their calls. */
class TestTime implements Timers {
  nowMs = 0;
  #waiting: { atMs: number; callback: () => void }[] = [];

  after(delayMs: number, callback: () => void) {
    const entry = { atMs: this.nowMs + delayMs, callback };
    this.#waiting.push(entry);
    const cancel = (): void => {
      this.#waiting = this.#waiting.filter((other) => other !== entry);
    };
    return { cancel };
  }

  run(untilMs = Infinity): void {
    for (;;) {
      const next = this.#waiting
        .filter(({ atMs }) => atMs <= untilMs)
        .reduce<{ atMs: number; callback: () => void } | undefined>(
          (first, entry) => (first === undefined || entry.atMs < first.atMs ? entry : first),
          undefined,
        );
      if (next === undefined) break;
      this.#waiting = this.#waiting.filter((entry) => entry !== next);
      this.nowMs = next.atMs;
      next.callback();
    }
    this.nowMs = Math.max(this.nowMs, Math.min(untilMs, this.nowMs));
  }
}

/** Marsaglia's xorshift of 32 bits. */
function seeded(seed: number): Random {
  let state = seed;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return { next, bytes: (count) => Uint8Array.from({ length: count }, () => next() * 256) };
}

function spoiled(faults: Omit<Faults, 'random' | 'timers'>, seed = 1) {
  const time = new TestTime();
  const schedule = (callback: () => void): void => void time.after(0, callback);
  const [inner, far] = memoryChannelPair({ schedule });
  const near = new FaultyChannel(inner, { random: seeded(seed), timers: time, ...faults });
  const [nearLog, farLog] = [new FrameLog(), new FrameLog()];
  near.receiver = nearLog;
  far.receiver = farLog;
  return { time, near, far, nearLog, farLog };
}

const argumentsOf = (log: FrameLog): number[] => log.frames.map(({ argument }) => argument);

describe('a faulty channel', () => {
  test('without faults is as the one inside', () => {
    const { time, near, far, nearLog, farLog } = spoiled({});
    near.send(message, 0, 1, 2, 3, Uint8Array.of(4));
    far.send(message, 0, 0, 0, 9);
    near.close();
    time.run();
    expect(farLog.frames).toMatchObject([
      { name: 1, streamId: 2, argument: 3, payload: Uint8Array.of(4) },
    ]);
    expect(argumentsOf(nearLog)).toEqual([9]);
    expect([nearLog.closes, farLog.closes]).toEqual([[null], [null]]);
  });

  test('loses and doubles by chance, the same for the same seed', () => {
    const run = (seed: number): number[] => {
      const { time, near, farLog } = spoiled({ lossChance: 0.2, duplicateChance: 0.1 }, seed);
      for (let i = 0; i < 2000; i++) near.send(message, 0, 0, 0, i);
      time.run();
      return argumentsOf(farLog);
    };
    const first = run(7);
    const distinct = new Set(first);
    expect(distinct.size).toBeGreaterThan(1500);
    expect(distinct.size).toBeLessThan(1700);
    expect(first.length - distinct.size).toBeGreaterThan(100);
    expect(first).toEqual([...first].sort((a, b) => a - b));
    expect(run(7)).toEqual(first);
    expect(run(8)).not.toEqual(first);
  });

  test('delays, in order, and what waits counts as queued', () => {
    const { time, near, farLog } = spoiled({ delayMsMax: 50 });
    const payload = Uint8Array.of(1);
    for (let i = 0; i < 20; i++) near.send(message, 0, 0, 0, i, payload);
    payload[0] = 9;
    expect(near.queuedBytes).toBe(20 * (frameHeaderBytes + 1));
    time.run(1);
    expect(farLog.frames.length).toBeLessThan(20);
    near.close();
    time.run();
    expect(argumentsOf(farLog)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(farLog.frames.every((frame) => frame.payload?.[0] === 1)).toBe(true);
    expect(near.queuedBytes).toBe(0);
    expect(farLog.closes).toEqual([null]);
    expect(time.nowMs).toBeLessThanOrEqual(50);
  });

  test('cuts after so many frames', () => {
    const { time, near, nearLog, farLog } = spoiled({ cutAfterFrames: 3 });
    for (let i = 0; i < 3; i++) near.send(message, 0, 0, 0, i);
    time.run();
    expect(argumentsOf(farLog)).toEqual([0, 1, 2]);
    near.send(message, 0, 0, 0, 3);
    time.run();
    expect(nearLog.closes).toMatchObject([{ code: 'PAIPAI_ERR_PEER_CLOSED' }]);
    expect(farLog.closes).toHaveLength(1);
    expect(farLog.frames).toHaveLength(3);
  });

  test('cuts after so many bytes, in the middle of a bulk', () => {
    const { time, near, nearLog, farLog } = spoiled({
      cutAfterBytes: 2 * (bulkChunkBytes + frameHeaderBytes),
    });
    const told: (Error | null)[] = [];
    near.sendBulk(9, new Uint8Array(3 * bulkChunkBytes), (error) => told.push(error));
    expect(told).toEqual([]);
    time.run();
    expect(told).toMatchObject([{ code: 'PAIPAI_ERR_PEER_CLOSED' }]);
    expect(nearLog.closes).toHaveLength(1);
    expect(farLog.closes).toHaveLength(1);
  });

  test('bulk is lost in chunks, and told as sent', () => {
    const { time, near, farLog } = spoiled({ lossChance: 0.5 }, 3);
    const told: (Error | null)[] = [];
    near.sendBulk(9, new Uint8Array(20 * bulkChunkBytes), (error) => told.push(error));
    time.run();
    expect(told).toEqual([null]);
    expect(farLog.frames.length).toBeGreaterThan(3);
    expect(farLog.frames.length).toBeLessThan(17);
  });

  test('a frame of the bulk lane is lost or doubled as one, and told once', () => {
    const { time, near, farLog } = spoiled({ lossChance: 0.4, duplicateChance: 0.4 }, 3);
    const payload = new Uint8Array(3 * bulkChunkBytes);
    const told: (Error | null)[] = [];
    for (let i = 0; i < 40; i++) near.sendBulkFrame(message, i, payload, (e) => told.push(e));
    time.run();
    expect(told).toEqual(Array.from({ length: 40 }, () => null));
    const names = farLog.frames.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(new Set(names).size);
    expect(new Set(names).size).toBeLessThan(40);
    expect(farLog.frames.every(({ payloadBytes }) => payloadBytes === payload.length)).toBe(true);
  });

  test('destroy settles what waits for its delay', () => {
    const { time, near, nearLog } = spoiled({ delayMsMax: 1000 });
    const told: (Error | null)[] = [];
    near.sendBulk(9, new Uint8Array(2 * bulkChunkBytes), (error) => told.push(error));
    const reason = new Error('enough');
    near.destroy(reason);
    time.run();
    expect(told).toEqual([reason]);
    expect(nearLog.closes).toEqual([reason]);
  });

  test('a payload above the limit is refused to the caller also when it would wait', () => {
    const { near } = spoiled({ delayMsMax: 10, frameBytesMax: 1024 });
    expect(() => near.send(message, 0, 0, 0, 0, new Uint8Array(1025))).toThrowError(
      expect.objectContaining({ code: 'PAIPAI_ERR_FRAME_TOO_LARGE' }),
    );
  });
});
