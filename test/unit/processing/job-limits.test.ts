import { expect, test } from 'vitest';
import { JobLimits, type Turns } from '../../../dist/processing/job-limits.js';
import { codeOf } from '../../support/session-pair.js';

/** Whether a turn is there at once; it is given back then. */
async function isFree(turns: Turns): Promise<boolean> {
  const stop = new AbortController();
  const turn = turns.take(stop.signal).catch(() => undefined);
  stop.abort();
  const giveBack = await turn;
  giveBack?.();
  return giveBack !== undefined;
}

test('the requests of a job share its turns, and a turn outlives the request that took it', async () => {
  const limits = new JobLimits();
  const limit = { jobId: 'j', concurrency: 2 };
  const one = limits.enter(limit);
  const other = limits.enter(limit);
  const never = new AbortController().signal;
  const giveBack = await one.take(never);
  expect(await isFree(other)).toBe(true);
  const giveBackOther = await other.take(never);
  expect(await isFree(one)).toBe(false);
  one.leave();
  other.leave();

  const later = limits.enter(limit);
  expect(await isFree(later)).toBe(false);
  giveBack();
  expect(await isFree(later)).toBe(true);
  giveBackOther();
  later.leave();
});

test('jobs do not wait for each other, and one without a limit waits for nobody', async () => {
  const limits = new JobLimits();
  const never = new AbortController().signal;
  const one = limits.enter({ jobId: 'one', concurrency: 1 });
  await one.take(never);
  expect(await isFree(limits.enter({ jobId: 'other', concurrency: 1 }))).toBe(true);
  const free = limits.enter(undefined);
  for (let at = 0; at < 10; at++) await free.take(never);
  expect(await isFree(one)).toBe(false);
});

test('who waits for a turn is told when it is aborted', async () => {
  const turns = new JobLimits().enter({ jobId: 'j', concurrency: 1 });
  await turns.take(new AbortController().signal);
  const stop = new AbortController();
  const waiting = turns.take(stop.signal);
  stop.abort();
  expect(await codeOf(waiting)).toBe('PAIPAI_ERR_ABORTED');
});
