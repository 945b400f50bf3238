import { expect, test } from 'vitest';
import { CoordinatorClient } from '../../../dist/coordination/coordinator-client.js';
import { LocalCoordinator } from '../../../dist/coordination/local/local-coordinator.js';
import { createRealEnv } from '../../../dist/node/real-env.js';
import { codeOf } from '../../support/session-pair.js';
import { ManualTime } from '../../support/test-env.js';

test('who waits for a lock without a deadline waits as long as it takes, also when that is said', async () => {
  const time = new ManualTime();
  // Chance is real: a manual one draws the same lease for ever.
  const env = { ...time.env(), random: createRealEnv().random };
  const client = new CoordinatorClient(env, await LocalCoordinator.open(env));
  const lock = await client.lock('a', { ttlMs: 3_600_000 });
  const queue = async () => (await client.list('paipainet/lock/')).keys.length;
  let isSettled = false;
  const waiting = client.lock('a', { ttlMs: 3_600_000, deadlineMs: undefined }).finally(() => {
    isSettled = true;
  });
  while ((await queue()) < 2) await new Promise((resolve) => setImmediate(resolve));
  // Further than the default of other calls.
  time.advance(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  expect(isSettled).toBe(false);
  await lock.release();
  expect((await waiting).token).toBeGreaterThan(lock.token);
  await client.close();
});

test('only a quorum has members', async () => {
  const env = createRealEnv();
  await using client = new CoordinatorClient(env, await LocalCoordinator.open(env));
  expect(await codeOf(client.members())).toBe('PAIPAI_ERR_INVALID_STATE');
  expect(await codeOf(client.replaceMember('a'))).toBe('PAIPAI_ERR_INVALID_STATE');
});
