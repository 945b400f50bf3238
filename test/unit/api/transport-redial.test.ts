import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Backoff, backoffDelayMs } from '../../../dist/api/transport/backoff.js';
import { Redial } from '../../../dist/api/transport/redial.js';
import { WaitingRequests } from '../../../dist/api/transport/waiting-requests.js';
import { PaipaiError } from '../../../dist/base/errors.js';
import { Deadlines } from '../../../dist/session/deadlines.js';
import { codeOf } from '../../support/session-pair.js';
import { ManualTime } from '../../support/test-env.js';

const backoff: Backoff = { backoffMs: 100, backoffMsMax: 1_000, jitter: 0, attemptsMax: Infinity };
const chance = (next: number) => ({ next: () => next, bytes: () => new Uint8Array(0) });

describe('backoff', () => {
  test('doubles up to its maximum', () => {
    const delays = [0, 1, 2, 3, 4, 5, 5_000].map((i) => backoffDelayMs(backoff, i, chance(0.5)));
    expect(delays).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000]);
  });

  test('full jitter is anything from 0 to the whole, less jitter the upper part of it', () => {
    const delays = (jitter: number): number[] =>
      [0, 0.5, 1].map((next) => backoffDelayMs({ ...backoff, jitter }, 1, chance(next)));
    expect(delays(1)).toEqual([200, 100, 0]);
    expect(delays(0.5)).toEqual([200, 150, 100]);
  });

  test('is a wait within its bounds, whatever the numbers', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 1e6, noNaN: true }),
        fc.double({ min: 1, max: 1e3, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(100_000),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        (backoffMs, factor, jitter, attempt, next) => {
          const made = { ...backoff, backoffMs, backoffMsMax: backoffMs * factor, jitter };
          const delayMs = backoffDelayMs(made, attempt, chance(next));
          expect(delayMs).toBeGreaterThanOrEqual(0);
          expect(delayMs).toBeLessThanOrEqual(made.backoffMsMax);
        },
      ),
    );
  });
});

/** A redial whose attempts fail until the test says otherwise. */
function dialing(changes: Partial<Backoff> = {}) {
  const time = new ManualTime();
  const attemptsAtMs: number[] = [];
  const givenUp: Error[] = [];
  const state = { failure: new Error('nobody there') as Error | null };
  const redial: Redial = new Redial(
    time.env(),
    { ...backoff, ...changes },
    async () => {
      attemptsAtMs.push(time.nowMs);
      if (state.failure !== null) throw state.failure;
      redial.connected();
    },
    (error) => givenUp.push(error),
  );
  const advance = async (byMs: number): Promise<void> => {
    for (const endMs = time.nowMs + byMs; time.nowMs < endMs; time.advance(50)) {
      await new Promise(setImmediate);
    }
    await new Promise(setImmediate);
  };
  return { time, redial, state, attemptsAtMs, givenUp, advance };
}

describe('redial', () => {
  test('tries with growing waits, and stops when a connection stands', async () => {
    const { redial, state, attemptsAtMs, advance } = dialing();
    redial.start(new Error('lost'));
    await advance(700);
    expect(attemptsAtMs).toEqual([100, 300, 700]);
    state.failure = null;
    await advance(3_000);
    expect(attemptsAtMs).toEqual([100, 300, 700, 1_500]);
  });

  test('begins anew after a connection that has stood, and not after one that has not', async () => {
    const { time, redial, state, attemptsAtMs, advance } = dialing();
    state.failure = null;
    redial.start(new Error('lost'));
    await advance(100);
    redial.start(new Error('lost at once'));
    await advance(200);
    expect(attemptsAtMs).toEqual([100, 300]);
    await advance(1_000);
    const lostMs = time.nowMs;
    redial.start(new Error('lost later'));
    await advance(100);
    expect(attemptsAtMs.at(-1)).toBe(lostMs + 100);
  });

  test('gives up after the last attempt, with what it failed with', async () => {
    const { redial, state, attemptsAtMs, givenUp, advance } = dialing({ attemptsMax: 3 });
    redial.start(new Error('lost'));
    await advance(10_000);
    expect(attemptsAtMs).toHaveLength(3);
    expect(givenUp).toEqual([state.failure]);
  });

  test.each(['PAIPAI_ERR_SECRET', 'PAIPAI_ERR_NET_NAME', 'PAIPAI_ERR_VERSION_MISMATCH'] as const)(
    'gives up at once after %s',
    async (code) => {
      const { redial, state, attemptsAtMs, givenUp, advance } = dialing();
      state.failure = new PaipaiError(code, 'refused');
      redial.start(new Error('lost'));
      await advance(10_000);
      expect(attemptsAtMs).toHaveLength(1);
      expect(givenUp).toEqual([state.failure]);
    },
  );

  test('stopped, it neither tries nor gives up', async () => {
    const { redial, attemptsAtMs, givenUp, advance } = dialing();
    redial.start(new Error('lost'));
    redial.stop();
    await advance(10_000);
    expect([attemptsAtMs, givenUp]).toEqual([[], []]);
  });

  test('the process may end meanwhile or not, the wait is the same', async () => {
    const { redial, attemptsAtMs, advance } = dialing();
    redial.start(new Error('lost'));
    await advance(50);
    redial.setKeepAlive(false);
    redial.setKeepAlive(true);
    await advance(50);
    expect(attemptsAtMs).toEqual([100]);
  });
});

describe('requests that wait', () => {
  const request = (deadlineMs = 1_000, payloadBytes = 0) => ({
    method: 'm',
    payload: new Uint8Array(payloadBytes),
    deadlineMs,
    signal: undefined,
  });

  test('are sent in order, with what is left of their deadlines', async () => {
    const time = new ManualTime();
    const waiting = new WaitingRequests(new Deadlines(time.env()), 10, 1_000);
    const answers = [waiting.add(request(1_000)), waiting.add(request(Infinity))];
    time.advance(400);
    const left: number[] = [];
    waiting.sendAll(async ({ deadlineMs }) => {
      left.push(deadlineMs);
      return new Uint8Array([left.length]);
    });
    expect(left).toEqual([600, Infinity]);
    expect(await Promise.all(answers)).toEqual([new Uint8Array([1]), new Uint8Array([2])]);
    expect(waiting.count).toBe(0);
  });

  test('fail at their deadline, and leave their room to others', async () => {
    const time = new ManualTime();
    const waiting = new WaitingRequests(new Deadlines(time.env()), 1, 1_000);
    const late = codeOf(waiting.add(request(100)));
    expect(await codeOf(waiting.add(request()))).toBe('PAIPAI_ERR_OVERLOADED');
    time.advance(105);
    expect(await late).toBe('PAIPAI_ERR_DEADLINE');
    const next = codeOf(waiting.add(request()));
    waiting.failAll((method) => new PaipaiError('PAIPAI_ERR_CLOSED', method));
    expect(await next).toBe('PAIPAI_ERR_CLOSED');
  });

  test('are bounded in bytes, headers included, though one alone may be longer', async () => {
    const waiting = new WaitingRequests(new Deadlines(new ManualTime().env()), 10, 200);
    const kept = [waiting.add(request(1_000, 68)), waiting.add(request(1_000, 68))];
    expect(await codeOf(waiting.add(request()))).toBe('PAIPAI_ERR_OVERLOADED');
    waiting.sendAll(async () => new Uint8Array(0));
    await Promise.all(kept);
    const alone = waiting.add(request(1_000, 10_000));
    expect(waiting.count).toBe(1);
    waiting.sendAll(async () => new Uint8Array(0));
    await alone;
  });
});
