import { expect, test } from 'vitest';
import { leaseTtlMsMax, leaseTtlMsMin } from '../../../dist/coordination/coordinator.js';
import { codeOf } from '../../support/session-pair.js';
import { bytes, describeBackends, setAll, startWorld, text, turn } from './worlds.js';

describeBackends((backend) => {
  test('ends by itself, no sooner than it may, and its keys go at one moment', async () => {
    const { one, other } = await startWorld(backend, 2);
    const beganMs = performance.now();
    const { leaseId, ttlMs } = await one.grantLease(300);
    expect(ttlMs).toBeGreaterThanOrEqual(300);
    const { versions } = await one.txn({
      set: [
        { key: 'a', value: bytes('1'), leaseId },
        { key: 'b', value: bytes('1'), leaseId },
        { key: 'c', value: bytes('1') },
      ],
    });
    const after = versions.get('a')!;
    const watches = ['a', 'b'].map((key) => other.watch(key, { after }));
    const told = await Promise.all(watches.map((watch) => watch.next()));
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(ttlMs);
    expect(told.map(({ value }) => value.value)).toEqual([undefined, undefined]);
    expect(told[0]!.value.version).toBe(told[1]!.value.version);
    expect((await other.list('')).keys.map(({ key }) => key)).toEqual(['c']);
    expect(await codeOf(one.keepLease(leaseId))).toBe('PAIPAI_ERR_LEASE_LOST');
    const late = one.compareAndSet('a', 0, bytes('2'), { leaseId });
    expect(await codeOf(late)).toBe('PAIPAI_ERR_LEASE_LOST');
    expect((await one.get('a')).version).toBe(0);
    for (const watch of watches) await watch.return();
  });

  test('lasts as long as it is kept alive', async () => {
    const { one } = await startWorld(backend);
    const { leaseId, ttlMs } = await one.grantLease(2_000);
    await one.compareAndSet('a', 0, bytes('1'), { leaseId });
    const untilMs = performance.now() + 1.5 * ttlMs;
    while (performance.now() < untilMs) {
      await one.keepLease(leaseId);
      await turn();
    }
    expect(text((await one.get('a')).value)).toBe('1');
    await one.revokeLease(leaseId);
  });

  test('is revoked, with its keys; once more does no harm', async () => {
    const { one, other } = await startWorld(backend, 2);
    const { leaseId } = await one.grantLease(leaseTtlMsMax);
    await one.compareAndSet('a', 0, bytes('1'), { leaseId });
    await other.revokeLease(leaseId);
    expect((await one.get('a')).version).toBe(0);
    await other.revokeLease(leaseId);
    expect(await codeOf(one.keepLease(leaseId))).toBe('PAIPAI_ERR_LEASE_LOST');
  });

  test('a key that was set anew without the lease, or under another, stays', async () => {
    const { one } = await startWorld(backend);
    const [first, second] = [await one.grantLease(60_000), await one.grantLease(60_000)];
    for (const key of ['a', 'b', 'c']) {
      await one.compareAndSet(key, 0, bytes('1'), { leaseId: first.leaseId });
    }
    await setAll(one, 'a', ['2']);
    const { version } = await one.get('b');
    await one.compareAndSet('b', version, bytes('2'), { leaseId: second.leaseId });
    await one.revokeLease(first.leaseId);
    expect((await one.list('')).keys.map(({ key }) => key)).toEqual(['a', 'b']);
    await one.revokeLease(second.leaseId);
    expect((await one.list('')).keys.map(({ key }) => key)).toEqual(['a']);
  });

  test('nothing of a transaction is made when one of its leases is lost', async () => {
    const { one } = await startWorld(backend);
    const { leaseId } = await one.grantLease(60_000);
    await one.revokeLease(leaseId);
    const setting = one.txn({
      set: [
        { key: 'a', value: bytes('1') },
        { key: 'b', value: bytes('1'), leaseId },
      ],
    });
    expect(await codeOf(setting)).toBe('PAIPAI_ERR_LEASE_LOST');
    expect((await one.list('')).keys).toEqual([]);
  });

  test('two have different names', async () => {
    const { clients } = await startWorld(backend, 3);
    const granted = await Promise.all(clients.map((client) => client.grantLease(60_000)));
    const ids = granted.map(({ leaseId }) => leaseId);
    expect(new Set(ids).size).toBe(3);
    await Promise.all(ids.map((leaseId) => clients[0]!.revokeLease(leaseId)));
  });

  test.each([0, leaseTtlMsMin - 1, leaseTtlMsMax + 1, 24 * 3_600_000, 300.5, Infinity, '300'])(
    'one of %j ms is refused',
    async (ttlMs) => {
      const { one } = await startWorld(backend);
      const wrong = { code: 'PAIPAI_ERR_INVALID_ARGUMENT' };
      await expect(one.grantLease(ttlMs as number)).rejects.toMatchObject(wrong);
    },
  );

  test('what is no lease is refused', async () => {
    const { one } = await startWorld(backend);
    for (const leaseId of [0, -1, 0.5, '1', undefined]) {
      const wrong = 'PAIPAI_ERR_INVALID_ARGUMENT';
      expect(await codeOf(one.keepLease(leaseId as number))).toBe(wrong);
      expect(await codeOf(one.revokeLease(leaseId as number))).toBe(wrong);
      if (leaseId === undefined) continue;
      const setting = one.compareAndSet('a', 0, bytes('1'), { leaseId: leaseId as number });
      expect(await codeOf(setting)).toBe(wrong);
    }
  });
});
