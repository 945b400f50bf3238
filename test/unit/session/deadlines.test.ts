import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Alarm, Deadlines, deadlinesOf, Expiring } from '../../../dist/session/deadlines.js';
import { ManualTime } from '../../support/test-env.js';

class Noted extends Expiring {
  firedMs: number[] = [];
  readonly time: ManualTime;

  constructor(time: ManualTime) {
    super();
    this.time = time;
  }

  override onDeadline(): void {
    this.firedMs.push(this.time.nowMs);
  }
}

function make(): { time: ManualTime; deadlines: Deadlines } {
  const time = new ManualTime();
  return { time, deadlines: new Deadlines(time.env()) };
}

describe('deadlines', () => {
  test('fire once, after their time', () => {
    const { time, deadlines } = make();
    const noted = new Noted(time);
    deadlines.set(noted, 100);
    time.advance(99);
    expect(noted.firedMs).toEqual([]);
    time.advance(10_000);
    expect(noted.firedMs).toHaveLength(1);
    expect(noted.firedMs[0]).toBeGreaterThanOrEqual(100);
    expect(noted.firedMs[0]).toBeLessThanOrEqual(105);
  });

  test('never early, at most max(5 ms, 2 %) late, whatever the delay and the start', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.double({ min: 0, max: 10_000, noNaN: true }),
            fc.oneof(
              fc.double({ min: 0.001, max: 1_000, noNaN: true }),
              fc.integer({ min: 1, max: 0x7fff_ffff }),
            ),
          ),
          { minLength: 1, maxLength: 20 },
        ),
        (plan) => {
          const { time, deadlines } = make();
          const expected: { noted: Noted; dueMs: number; delayMs: number }[] = [];
          for (const [waitMs, delayMs] of plan) {
            time.advance(waitMs);
            const noted = new Noted(time);
            deadlines.set(noted, delayMs);
            expected.push({ noted, dueMs: time.nowMs + delayMs, delayMs });
          }
          time.advance(2 ** 33);
          for (const { noted, dueMs, delayMs } of expected) {
            expect(noted.firedMs).toHaveLength(1);
            const lateMs = (noted.firedMs[0] as number) - dueMs;
            expect(lateMs).toBeGreaterThanOrEqual(0);
            expect(lateMs).toBeLessThanOrEqual(Math.max(5, 0.02 * delayMs));
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('what is cleared does not fire, and clearing twice is harmless', () => {
    const { time, deadlines } = make();
    const [kept, cleared] = [new Noted(time), new Noted(time)];
    deadlines.set(cleared, 50);
    deadlines.set(kept, 50);
    deadlines.clear(cleared);
    deadlines.clear(cleared);
    time.advance(1_000);
    expect(cleared.firedMs).toEqual([]);
    expect(kept.firedMs).toHaveLength(1);
  });

  test('one that fires may clear its neighbour and set another', () => {
    const { time, deadlines } = make();
    const neighbour = new Noted(time);
    const later = new Noted(time);
    deadlines.set(
      new Alarm(() => {
        deadlines.clear(neighbour);
        deadlines.set(later, 10);
      }),
      20,
    );
    deadlines.set(neighbour, 20);
    time.advance(1_000);
    expect(neighbour.firedMs).toEqual([]);
    expect(later.firedMs).toHaveLength(1);
  });

  test('a hundred thousand that come and go share a handful of timers', () => {
    const { time, deadlines } = make();
    for (let i = 0; i < 100_000; i++) {
      const noted = new Noted(time);
      deadlines.set(noted, 30_000);
      if (i % 100 === 0) time.advance(1);
      deadlines.clear(noted);
    }
    expect(time.timerCount).toBeLessThan(10);
  });

  describe('gathered', () => {
    test('fire once, never early, and at most 2 % late', () => {
      const { time, deadlines } = make();
      const noted = [new Noted(time), new Noted(time), new Noted(time)];
      const setMs: number[] = [];
      for (const entry of noted) {
        setMs.push(time.nowMs);
        deadlines.setGathered(entry, 1_000);
        time.advance(9);
      }
      time.advance(10_000);
      for (const [i, { firedMs }] of noted.entries()) {
        expect(firedMs).toHaveLength(1);
        const delayMs = (firedMs[0] as number) - (setMs[i] as number);
        expect(delayMs).toBeGreaterThanOrEqual(1_000);
        expect(delayMs).toBeLessThanOrEqual(1_020);
      }
    });

    test('make no more timers when nothing is set any more', () => {
      const { time, deadlines } = make();
      const entry = new Noted(time);
      deadlines.setGathered(entry, 1_000);
      deadlines.clear(entry);
      time.advance(2_000);
      const { timerCount } = time;
      time.advance(10_000);
      expect(entry.firedMs).toEqual([]);
      expect(time.timerCount).toBe(timerCount);
    });

    test('one look at the clock serves all of one delay', async () => {
      const time = new ManualTime();
      const env = time.env();
      let looks = 0;
      const nowMs = (): number => {
        looks++;
        return time.nowMs;
      };
      const deadlines = new Deadlines({ ...env, clock: { ...env.clock, nowMs } });
      deadlines.setGathered(new Noted(time), 1_000);
      await Promise.resolve();
      const looksForOne = looks;
      for (let i = 0; i < 1_000; i++) deadlines.setGathered(new Noted(time), 1_000);
      await Promise.resolve();
      expect(looks - looksForOne).toBeLessThanOrEqual(looksForOne);
    });

    test('each keeps its own delay, also beside those that are set one by one', async () => {
      const { time, deadlines } = make();
      const delays = [20, 60_000, 20, 20, 500, 60_000];
      const noted = delays.map(() => new Noted(time));
      for (const [i, entry] of noted.entries()) {
        const delayMs = delays[i] as number;
        if (i % 3 === 2) deadlines.set(entry, delayMs);
        else deadlines.setGathered(entry, delayMs);
      }
      await Promise.resolve();
      time.advance(100_000);
      for (const [i, { firedMs }] of noted.entries()) {
        const delayMs = delays[i] as number;
        expect(firedMs).toHaveLength(1);
        expect(firedMs[0]).toBeGreaterThanOrEqual(delayMs);
        expect(firedMs[0]).toBeLessThanOrEqual(delayMs + Math.max(5, 0.02 * delayMs));
      }
    });

    test('what is cleared does not fire, before the look at the clock or after', async () => {
      const { time, deadlines } = make();
      const [early, late, kept] = [new Noted(time), new Noted(time), new Noted(time)];
      for (const entry of [early, late, kept]) deadlines.setGathered(entry, 50);
      deadlines.clear(early);
      await Promise.resolve();
      deadlines.clear(late);
      time.advance(1_000);
      expect([early, late, kept].map(({ firedMs }) => firedMs.length)).toEqual([0, 0, 1]);
    });
  });

  test('a shorter deadline set later fires first', () => {
    const { time, deadlines } = make();
    const [long, short] = [new Noted(time), new Noted(time)];
    deadlines.set(long, 60_000);
    deadlines.set(short, 10);
    time.advance(20);
    expect(short.firedMs).toHaveLength(1);
    expect(long.firedMs).toEqual([]);
  });
});

test('who shares a clock shares the timer, and nobody else', () => {
  const env = new ManualTime().env();
  expect(deadlinesOf({ ...env })).toBe(deadlinesOf(env));
  expect(deadlinesOf(new ManualTime().env())).not.toBe(deadlinesOf(env));
});
