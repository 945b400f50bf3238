import { expect, test } from 'vitest';
import type { Lock } from '../../../dist/coordination/locks.js';
import { codeOf } from '../../support/session-pair.js';
import { describeBackends, startClients, turn } from './worlds.js';

/** Settles when the signal has fired, with the code of its reason. */
function codeOfEnd({ signal }: { readonly signal: AbortSignal }): Promise<unknown> {
  return new Promise((resolve) => {
    const onAbort = (): void => resolve((signal.reason as { code?: unknown }).code);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
}

describeBackends((backend) => {
  test('one holds it at a time, by ascending tokens, in the order in which they came', async () => {
    const { clients } = await startClients(backend, 4);
    const first = await clients[0]!.lock('a');
    expect(first.isHeld).toBe(true);
    const order: number[] = [];
    const tokens: number[] = [first.token];
    const waiting: Promise<void>[] = [];
    let holders = 1;
    for (const [at, client] of clients.entries()) {
      const { keys } = await client.list('paipainet/lock/');
      const locking = client.lock('a').then(async (lock) => {
        expect(++holders).toBe(1);
        order.push(at);
        tokens.push(lock.token);
        holders--;
        await lock.release();
      });
      waiting.push(locking);
      // It stands in the queue before the next one comes.
      while ((await client.list('paipainet/lock/')).keys.length === keys.length) await turn();
    }
    holders--;
    await first.release();
    expect(first.isHeld).toBe(false);
    await Promise.all(waiting);
    expect(order).toEqual([0, 1, 2, 3]);
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
    expect((await clients[0]!.list('paipainet/lock/')).keys).toEqual([]);
  });

  test('locks of different names do not wait for each other, whatever the names', async () => {
    const { one, other } = await startClients(backend, 2);
    const names = ['a', 'a/b', 'a/b/1', 'A', '%', 'ä', '東京'];
    const locks: Lock[] = [];
    for (const name of names) locks.push(await one.lock(name, { deadlineMs: 10_000 }));
    expect(locks.map(({ name }) => name)).toEqual(names);
    expect(new Set(locks.map(({ token }) => token)).size).toBe(names.length);
    const again = codeOf(other.lock('a/b', { deadlineMs: 50 }));
    expect(await again).toBe('PAIPAI_ERR_DEADLINE');
    await Promise.all(locks.map((lock) => lock.release()));
  });

  test('it is held as long as its holder lives, and who gives up waiting leaves no trace', async () => {
    const { one, other } = await startClients(backend, 2);
    const lock = await one.lock('a', { ttlMs: 2_000 });
    const stop = new AbortController();
    const waiting = codeOf(other.lock('a', { signal: stop.signal }));
    // Longer than it would last by itself.
    expect(await codeOf(other.lock('a', { deadlineMs: 1.5 * lock.ttlMs }))).toBe(
      'PAIPAI_ERR_DEADLINE',
    );
    expect(lock.isHeld).toBe(true);
    stop.abort();
    expect(await waiting).toBe('PAIPAI_ERR_ABORTED');
    expect((await one.list('paipainet/lock/')).keys.length).toBe(1);
    await lock.release();
    expect(await codeOfEnd(lock)).toBe('PAIPAI_ERR_CLOSED');
  });

  test('one whose holder is not heard of any more is another’s, and the holder knows it before', async () => {
    const { silence, one, other } = await startClients(backend, 2);
    const lock = await one.lock('a', { ttlMs: 300 });
    let isLostFirst = false;
    const ending = codeOfEnd(lock).then((code) => {
      isLostFirst = true;
      return code;
    });
    const next = other.lock('a');
    silence(0);
    const { token } = await next;
    expect(isLostFirst).toBe(true);
    expect(await ending).toBe('PAIPAI_ERR_LEASE_LOST');
    expect(lock.isHeld).toBe(false);
    expect(token).toBeGreaterThan(lock.token);
  });

  test('closing releases what is held, and ends those who wait', async () => {
    const { one, other, isShared } = await startClients(backend, 2);
    const lock = await one.lock('a', { ttlMs: 60_000 });
    const waiting = codeOf(one.lock('a'));
    const next = isShared ? undefined : other.lock('a');
    await one.close();
    expect(await waiting).toBe('PAIPAI_ERR_CLOSED');
    expect(lock.isHeld).toBe(false);
    expect((await next)?.isHeld ?? true).toBe(true);
    expect(await codeOf(one.lock('b'))).toBe('PAIPAI_ERR_CLOSED');
  });

  test('of very many who hold it once nobody meets another', async () => {
    const { clients } = await startClients(backend, 5);
    let holders = 0;
    let held = 0;
    await Promise.all(
      Array.from({ length: 25 }, async (_, at) => {
        const lock = await clients[at % 5]!.lock('a');
        expect(++holders).toBe(1);
        await turn();
        held++;
        holders--;
        await lock.release();
      }),
    );
    expect(held).toBe(25);
  });

  test.each<[string, unknown, object]>([
    ['no name', '', {}],
    ['a number', 1, {}],
    ['a name too long', 'x'.repeat(129), {}],
    ['half a character', '\ud800', {}],
    ['a lease of no time', 'a', { ttlMs: 0 }],
    ['a lease of a day', 'a', { ttlMs: 86_400_000 }],
    ['no time to wait', 'a', { deadlineMs: 0 }],
    ['no options', 'a', null as never],
  ])('%s is refused', async (_, name, options) => {
    const { one } = await startClients(backend);
    expect(await codeOf(one.lock(name as string, options))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    expect(await codeOf(one.elect(name as string, options))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  });
});
