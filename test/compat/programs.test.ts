import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clusterScripts, runCount } from './generated/cluster.js';
import { expectSameProgram } from './programs.js';
import { runsTimes, seeded } from './runs.js';

/** What needs a process of its own: clusters, flags, and the bad days. See `generated.test.ts` for what the environment may say. */

const step = (what: string, worker = 0, how = 'shared'): object => ({ do: what, worker, how });
const both = (what: string, how = 'shared'): object[] => [step(what, 0, how), step(what, 1, how)];

const clusters: Readonly<Record<string, readonly object[]>> = {
  'share a port, and close one after the other': [
    ...both('listen'),
    step('connect'),
    ...both('key'),
    step('close', 0),
    step('connect'),
    step('close', 1),
    step('connect'),
  ],
  'have ports of their own, and share all addresses': [
    ...both('listen', 'exclusive'),
    step('connect', 0, 'exclusive'),
    ...both('listen', 'any'),
    step('connect', 0, 'any'),
    ...both('close', 'any'),
  ],
  'close before the primary answers, and listen again': [
    ...both('closeAtOnce'),
    step('closeAtOnce', 0, 'exclusive'),
    ...both('listen'),
    step('connect'),
    step('close'),
    step('listen'),
    step('listen'),
    step('connect'),
  ],
  'cannot listen, and go one by one': [
    ...both('listen', 'nowhere'),
    ...both('listen'),
    step('disconnect', 0),
    step('connect'),
    step('kill', 1),
    step('connect'),
  ],
};

describe.each(['rr', 'none'])('workers of a cluster, policy %s', (policy) => {
  test.each(Object.entries(clusters))('%s', async (_name, steps) => {
    const { exitCode } = await expectSameProgram('cluster.mjs', {
      args: [policy, JSON.stringify(steps)],
    });
    expect(exitCode).toBe(0);
  });
});

test('workers of a cluster are told anything', { timeout: 120_000 * runsTimes }, async () => {
  const property = fc.asyncProperty(clusterScripts, async ({ policy, steps }) => {
    await expectSameProgram('cluster.mjs', { args: [policy, JSON.stringify(steps)] });
  });
  await fc.assert(property, seeded(runCount));
});

test.each([
  [],
  ['--no-network-family-autoselection'],
  ['--network-family-autoselection-attempt-timeout=123'],
  ['--pending-deprecation', '--throw-deprecation'],
])('flags of Node: %s', async (...nodeArgs) => {
  const { exitCode } = await expectSameProgram('flags.mjs', {
    nodeArgs: nodeArgs.filter((each) => each !== undefined),
  });
  expect(exitCode).toBe(0);
});

describe('on bad days', () => {
  test('descriptors run out', async () => {
    const { exitCode } = await expectSameProgram('out-of-descriptors.mjs', {
      before: 'ulimit -n 64 &&',
    });
    expect(exitCode).toBe(0);
  });

  test.each([
    'in a handler',
    'in a callback',
    'with bytes that wait',
    'thrown in a handler',
    'rejected in a handler',
    'thrown in a tick',
    'aborted by a signal',
    'unhandled error',
    'unreferenced',
    'closed',
  ])('a process leaves: %s', async (how) => {
    await expectSameProgram('exit.mjs', { args: [how] });
  });

  test('threads are ended', async () => {
    const { exitCode } = await expectSameProgram('worker-ended.mjs');
    expect(exitCode).toBe(0);
  });
});
