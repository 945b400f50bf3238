import { expect, test } from 'vitest';
import { codeOf } from '../../support/session-pair.js';
import { bytes, describeBackends, startClients, text, turn } from './worlds.js';

describeBackends((backend) => {
  test('one leads, and when it resigns the next one does, in a higher term', async () => {
    const { one, other } = await startClients(backend, 2);
    expect(await one.leader('a')).toBeUndefined();
    const first = await one.elect('a', { value: bytes('one') });
    expect(first.isLeader).toBe(true);
    const seen = await other.leader('a');
    expect([seen?.term, text(seen?.value)]).toEqual([first.term, 'one']);
    const electing = other.elect('a', { value: bytes('other') });
    expect(await codeOf(other.elect('a', { deadlineMs: 50 }))).toBe('PAIPAI_ERR_DEADLINE');
    await first.resign();
    expect(first.isLeader).toBe(false);
    const second = await electing;
    expect(second.term).toBeGreaterThan(first.term);
    expect(text((await one.leader('a'))?.value)).toBe('other');
    await second.resign();
    expect(await one.leader('a')).toBeUndefined();
    expect((await one.list('paipainet/')).keys).toEqual([]);
  });

  test('everybody hears who leads, and when nobody does', async () => {
    const { one, other } = await startClients(backend, 2);
    const told: (number | undefined)[] = [];
    const stop = new AbortController();
    const listening = (async () => {
      for await (const leader of other.leaders('a', { signal: stop.signal })) {
        told.push(leader?.term);
      }
    })();
    const hears = async (count: number): Promise<void> => {
      while (told.length < count) await turn();
    };
    await hears(1);
    const first = await one.elect('a');
    await hears(2);
    await first.resign();
    await hears(3);
    const second = await one.elect('a');
    await hears(4);
    expect(told).toEqual([undefined, first.term, undefined, second.term]);
    stop.abort();
    expect(await codeOf(listening)).toBe('PAIPAI_ERR_ABORTED');
  });

  test('one that is not heard of any more leads no longer, and knows it before another does', async () => {
    const { silence, one, other } = await startClients(backend, 2);
    const first = await one.elect('a', { ttlMs: 300 });
    let isOver = false;
    first.signal.addEventListener('abort', () => {
      isOver = true;
    });
    const electing = other.elect('a');
    silence(0);
    const second = await electing;
    expect(isOver).toBe(true);
    expect(first.isLeader).toBe(false);
    expect(second.term).toBeGreaterThan(first.term);
    expect((await other.leader('a'))?.term).toBe(second.term);
  });

  test('a value that is none, or too long, is refused', async () => {
    const { one } = await startClients(backend);
    for (const value of ['text', 1, new Uint8Array(1_000_001)]) {
      const electing = one.elect('a', { value: value as Uint8Array });
      expect(await codeOf(electing)).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    }
    expect(await codeOf(one.leader(''))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  });

  test('what somebody else has written is not taken for a leader', async () => {
    const { one } = await startClients(backend);
    await one.put('paipainet/leader/a', bytes('?'));
    expect(await codeOf(one.leader('a'))).toBe('PAIPAI_ERR_PROTOCOL');
  });
});
