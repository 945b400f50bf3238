import { describe, expect, onTestFinished, test } from 'vitest';
import { PaipaiError } from '../../../dist/base/errors.js';
import type { Coordinator } from '../../../dist/coordination/coordinator.js';
import { LocalCoordinator } from '../../../dist/coordination/local/local-coordinator.js';
import { Decisions, UnknownOutcome } from '../../../dist/transactions/decisions.js';
import { encodeInDoubt } from '../../../dist/transactions/messages.js';
import { Settler } from '../../../dist/transactions/settler.js';
import { seeded } from '../../support/seeded.js';
import { ManualTime } from '../../support/test-env.js';

const dayMs = 24 * 3_600_000;
const none = {};

async function start() {
  const time = new ManualTime();
  const env = { ...time.env(), random: seeded(1) };
  const coordinator = await LocalCoordinator.open(env);
  onTestFinished(() => coordinator.close());
  const keys = async (): Promise<string[]> =>
    (await coordinator.list('paipainet/transaction/')).keys.map(({ key }) => key);
  return { time, env, coordinator, keys };
}

describe('decisions in the table of a coordinator', () => {
  test('a transaction is committed once, while the lease of its driver is there, and aborted when that is gone', async () => {
    const { env, coordinator } = await start();
    const decisions = new Decisions(env, coordinator);
    const [first, second] = [await decisions.begin(none), await decisions.begin(none)];
    expect(first).not.toBe(second);
    expect(await decisions.outcomeOf(first, none)).toBe('unknown');
    expect(await decisions.commit(first, none)).toBe('committed');
    expect(await decisions.outcomeOf(first, none)).toBe('committed');
    await decisions.close();
    expect(await decisions.outcomeOf(first, none)).toBe('committed');
    expect(await decisions.outcomeOf(second, none)).toBe('aborted');
    expect(await decisions.commit(second, none)).toBe('aborted');
    expect(await decisions.outcomeOf(second, none)).toBe('aborted');
    const other = new Decisions(env, coordinator);
    expect(other.isOwn(first)).toBe(false);
    expect(other.isOwn(await other.begin(none))).toBe(true);
    await other.close();
  });

  test('what was not answered is decided as soon as its driver has given up', async () => {
    const { env, coordinator } = await start();
    let isMade = true;
    const silent: Coordinator = Object.assign(Object.create(coordinator), {
      get: coordinator.get.bind(coordinator),
      grantLease: coordinator.grantLease.bind(coordinator),
      revokeLease: coordinator.revokeLease.bind(coordinator),
      compareAndSet: coordinator.compareAndSet.bind(coordinator),
      async txn(...args: Parameters<Coordinator['txn']>) {
        if (isMade) await coordinator.txn(...args);
        throw new PaipaiError('PAIPAI_ERR_PEER_CLOSED', 'not answered');
      },
    });
    const decisions = new Decisions(env, silent);
    for (const outcome of ['committed', 'aborted']) {
      isMade = outcome === 'committed';
      const id = await decisions.begin(none);
      await expect(decisions.commit(id, none)).rejects.toBeInstanceOf(UnknownOutcome);
      await expect.poll(() => decisions.outcomeOf(id, none)).toBe(outcome);
    }
    await decisions.close();
  });

  test('a commit that nobody has forgotten is removed after a day, unless a node is in doubt about it', async () => {
    const { time, env, coordinator, keys } = await start();
    const dead = new Decisions(env, coordinator);
    const ids = [await dead.begin(none), await dead.begin(none)];
    for (const id of ids) await dead.commit(id, none);
    await dead.close();
    const decisions = new Decisions(env, coordinator);
    expect(await decisions.left()).toEqual([]);
    time.advance(dayMs + 1);
    expect((await decisions.left()).sort()).toEqual(ids);
    const settler = new Settler({
      env,
      decisions,
      names: () => ['a'],
      nodes: {
        found: () => ['a'],
        ask: async (_, method) =>
          method === 'transaction.in-doubt'
            ? encodeInDoubt([{ id: ids[0]!, forMs: 0 }])
            : new Uint8Array(0),
      },
    });
    settler.start();
    time.advance(1_000);
    await expect.poll(keys).toEqual([`paipainet/transaction/${ids[0]}`]);
    await settler.close();
    await decisions.close();
  });

  test('an id that is none is refused', async () => {
    const { env, coordinator } = await start();
    const decisions = new Decisions(env, coordinator);
    for (const id of ['', '7', `${'0'.repeat(16)}-1`, `${'g'.repeat(16)}-1-1`, 'x'.repeat(1_000)]) {
      await expect(decisions.outcomeOf(id, none)).rejects.toMatchObject({
        code: 'PAIPAI_ERR_INVALID_ARGUMENT',
      });
    }
    await decisions.close();
  });
});
