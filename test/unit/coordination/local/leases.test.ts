import { describe, expect, test } from 'vitest';
import type { Timers } from '../../../../dist/base/env.js';
import type { Journal } from '../../../../dist/coordination/local/journal.js';
import { keysPerLeaseMax, Leases } from '../../../../dist/coordination/local/leases.js';
import { LocalCoordinator } from '../../../../dist/coordination/local/local-coordinator.js';
import { createRealEnv } from '../../../../dist/node/real-env.js';
import { codeOf, codeThrown } from '../../../support/session-pair.js';
import { ManualTime } from '../../../support/test-env.js';

function start() {
  const time = new ManualTime();
  const over: number[] = [];
  const random = createRealEnv().random; // A manual one draws the same id for ever.
  const leases = new Leases({ ...time.env(), random }, (leaseId) => over.push(leaseId));
  return { time, leases, over };
}

describe('leases', () => {
  test('end when their time is over, and begin anew when they are kept', () => {
    const { time, leases, over } = start();
    const [first, second] = [leases.grant(500).leaseId, leases.grant(500).leaseId];
    time.advance(499);
    leases.keep(second);
    expect(over).toEqual([]);
    time.advance(1);
    expect(over).toEqual([first]);
    expect(codeThrown(() => leases.keep(first))).toBe('PAIPAI_ERR_LEASE_LOST');
    time.advance(498);
    expect(over).toEqual([first]);
    time.advance(1);
    expect(over).toEqual([first, second]);
  });

  test('end no sooner for a timer that comes early', () => {
    const time = new ManualTime();
    const over: number[] = [];
    const env = time.env();
    const timers: Timers = {
      after: (delayMs, callback) =>
        env.timers.after(delayMs > 1 ? delayMs - 0.9 : delayMs, callback),
    };
    const leases = new Leases({ ...env, timers }, () => over.push(time.nowMs));
    leases.grant(500);
    time.advance(499.5);
    expect(over).toEqual([]);
    time.advance(1);
    expect(over).toEqual([500]);
  });

  test('begin anew when the process stood still: nobody could keep them alive', () => {
    const { time, leases, over } = start();
    const { leaseId } = leases.grant(500);
    // The clock went on while no timer ran.
    time.nowMs += 10_000;
    time.advance(0);
    expect(over).toEqual([]);
    time.advance(499);
    leases.keep(leaseId);
    time.advance(500);
    expect(over).toEqual([leaseId]);
  });

  test('there are so many, and each has so many keys', () => {
    const { leases } = start();
    const { leaseId } = leases.grant(500);
    for (let at = 0; at < keysPerLeaseMax; at++) {
      leases.attach(leases.forKey(leaseId, `${at}`), `${at}`);
    }
    expect(codeThrown(() => leases.forKey(leaseId, 'more'))).toBe('PAIPAI_ERR_OVERLOADED');
    expect(leases.forKey(leaseId, '0')).toEqual({ leaseId, ttlMs: 500 });
    leases.detach({ leaseId, ttlMs: 500 }, '0');
    expect(leases.forKey(leaseId, 'more')).toEqual({ leaseId, ttlMs: 500 });
    for (let count = 1; count < 10_000; count++) leases.grant(500);
    expect(codeThrown(() => leases.grant(500))).toBe('PAIPAI_ERR_OVERLOADED');
  });
});

test('keys of a lease that is over are deleted when the disk has room again', async () => {
  const time = new ManualTime();
  let refusals = 0;
  const journal: Journal = {
    read: async () => ({ lastVersion: 0, entries: [] }),
    write: async ([change]) => {
      if (change?.value === undefined && refusals++ < 2) throw new Error('disk full');
    },
    close: async () => {},
  };
  const coordinator = await LocalCoordinator.open(time.env(), { journal });
  const { leaseId } = await coordinator.grantLease(500);
  await coordinator.compareAndSet('a', 0, new Uint8Array(1), { leaseId });
  const watch = coordinator.watch('a', { after: 1 });
  const told = watch.next();
  await expect(coordinator.revokeLease(leaseId)).rejects.toThrow('disk full');
  expect(await codeOf(coordinator.keepLease(leaseId))).toBe('PAIPAI_ERR_LEASE_LOST');
  for (let tries = 1; tries <= 2; tries++) {
    time.advance(1_000);
    // A write of another key stands behind what was tried.
    await coordinator.compareAndSet(`behind ${tries}`, 0, new Uint8Array(1));
  }
  expect((await told).value).toMatchObject({ key: 'a', value: undefined });
  expect((await coordinator.list('a')).keys).toEqual([]);
});
