import { expect, test } from 'vitest';
import { Pace } from '../../../../dist/cluster/transfer/pace.js';
import { ManualTime } from '../../../support/test-env.js';

const never = new AbortController().signal;

test('bytes go one after the other at the rate', async () => {
  const time = new ManualTime();
  const pace = new Pace(time.env(), 1_000);
  await pace.take(500, never); // The first go at once.
  const second = pace.take(1_000, never);
  const third = pace.take(0, never);
  time.advance(500);
  await second;
  expect(time.nowMs).toBe(500);
  time.advance(1_000);
  await third;
  expect(time.nowMs).toBe(1_500);
});

test('without a limit they go at once', async () => {
  const time = new ManualTime();
  const pace = new Pace(time.env(), Infinity);
  await pace.take(1e12, never);
  await pace.take(1e12, never);
  expect(time.timerCount).toBe(0);
});

test('a wait ends with its signal, and no time is saved up', async () => {
  const time = new ManualTime();
  const pace = new Pace(time.env(), 1_000);
  const stop = new AbortController();
  time.advance(60_000);
  await pace.take(10_000, stop.signal);
  const waiting = pace.take(1, stop.signal);
  stop.abort();
  await waiting;
  expect(time.nowMs).toBe(60_000);
  expect(time.timerCount).toBe(1);
});
