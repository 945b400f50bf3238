import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Alarm, Deadlines, Expiring } from '../../../dist/session/deadlines.js';
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
