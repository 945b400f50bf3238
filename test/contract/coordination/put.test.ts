import { expect, test } from 'vitest';
import { valueBytesMax } from '../../../dist/coordination/coordinator.js';
import { codeOf } from '../../support/session-pair.js';
import { bytes, describeBackends, startClients, text, turn } from './worlds.js';

describeBackends((backend) => {
  test('sets the key whatever it holds, and deletes it whether it is there or not', async () => {
    const { one, other } = await startClients(backend, 2);
    const first = await one.put('a', bytes('1'));
    const second = await other.put('a', bytes('2'));
    expect(second.version).toBeGreaterThan(first.version);
    expect(text((await one.get('a')).value)).toBe('2');
    expect((await one.get('a')).version).toBe(second.version);
    await other.delete('a');
    await other.delete('a');
    expect((await one.get('a')).version).toBe(0);
  });

  test('under a lease, which is kept alive until it is released', async () => {
    const { one, other } = await startClients(backend, 2);
    const lease = await one.lease({ ttlMs: 2_000 });
    const { leaseId } = lease;
    await one.put('a', bytes('1'), { leaseId });
    const watch = other.watch('a', { after: (await other.get('a')).asOf });
    const gone = watch.next();
    const untilMs = performance.now() + 1.5 * lease.ttlMs;
    while (performance.now() < untilMs) {
      expect((await other.get('a')).version).toBeGreaterThan(0);
      await turn();
    }
    expect(lease.isHeld).toBe(true);
    await lease.release();
    expect((await gone).value.value).toBeUndefined();
    expect(lease.signal.reason).toMatchObject({ code: 'PAIPAI_ERR_CLOSED' });
    await watch.return();
  });

  test('a value that is none is refused', async () => {
    const { one } = await startClients(backend);
    for (const value of [undefined, null, 'text', new Uint8Array(valueBytesMax + 1)]) {
      const putting = one.put('a', value as Uint8Array);
      expect(await codeOf(putting)).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    }
  });
});
