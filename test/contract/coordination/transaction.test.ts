import { expect, onTestFinished, test } from 'vitest';
import { PaipaiError } from '../../../dist/base/errors.js';
import { Operation } from '../../../dist/cluster/transfer/operation.js';
import { selectEngine } from '../../../dist/node/select-network.js';
import type { RecordNodes } from '../../../dist/transactions/record-nodes.js';
import { RecordStore } from '../../../dist/transactions/record-store.js';
import { serveRecords } from '../../../dist/transactions/serve-records.js';
import { type TransactionWork, Transactor } from '../../../dist/transactions/transactor.js';
import { testEnv } from '../../support/test-env.js';
import { describeBackends, startWorld } from './worlds.js';

const env = testEnv(selectEngine('auto').network);
const nodeNames = ['n1', 'n2', 'n3'];

/** Clients of three nodes in this process, which agree by the table of the backend. */
async function startTransactors(backend: Parameters<typeof startWorld>[0], count: number) {
  const { clients } = await startWorld(backend, count);
  const stores = new Map<string, RecordStore>();
  for (const name of nodeNames) stores.set(name, await RecordStore.open({ clock: env.clock }));
  const gone = new Set<string>();
  const nodes: RecordNodes = {
    found: () => nodeNames,
    async ask(name, method, payload) {
      const lost = new PaipaiError('PAIPAI_ERR_NODE_LOST', `node ${name} is gone`);
      if (gone.has(name)) throw lost;
      const answer = await serveRecords({ method, payload }, stores.get(name)!);
      if (gone.has(name)) throw lost;
      return answer;
    },
  };
  return clients.map((coordinator) => {
    const transactor = new Transactor({ env, coordinator, nodes });
    onTestFinished(() => transactor.close());
    return {
      gone,
      transactor,
      async run<T>(work: TransactionWork<T>, deadlineMs = 60_000): Promise<T> {
        const operation = new Operation(env, 'transaction', { deadlineMs });
        try {
          return await transactor.run(work, operation);
        } finally {
          operation.close();
        }
      },
      async inDoubt() {
        const operation = new Operation(env, 'list', { deadlineMs: 60_000 });
        const lists = await transactor.inDoubt(operation);
        operation.close();
        return [...lists.values()].flat();
      },
    };
  });
}

const accounts = Array.from({ length: 9 }, (_, at) => `account/${at}`);

describeBackends((backend) => {
  test('a transaction over several nodes counts whole, or not at all', async () => {
    const [one, other] = await startTransactors(backend, 2);
    await one!.run((tx) => {
      for (const key of accounts) tx.set(key, { balance: 10 });
    });
    const read = await other!.run((tx) => Promise.all(accounts.map((key) => tx.get(key))));
    expect(read).toEqual(accounts.map(() => ({ balance: 10 })));
    const refusal = new Error('no');
    const failing = other!.run(async (tx) => {
      for (const key of accounts) tx.delete(key);
      expect(await tx.get('account/0')).toBeUndefined();
      throw refusal;
    });
    await expect(failing).rejects.toBe(refusal);
    expect(await one!.run((tx) => tx.get('account/3'))).toEqual({ balance: 10 });
    await one!.run((tx) => tx.delete('account/3'));
    expect(await other!.run((tx) => tx.get('account/3'))).toBeUndefined();
    expect(await one!.inDoubt()).toEqual([]);
  });

  test('amounts that many move at once stay the same together', async () => {
    const transactors = await startTransactors(backend, 3);
    const [one] = transactors;
    await one!.run((tx) => {
      for (const key of accounts) tx.set(key, 100);
    });
    let calls = 0;
    const moves = backend.runs < 50 ? 4 : 10;
    await Promise.all(
      transactors.map(async ({ run }, at) => {
        for (let count = 0; count < moves; count++) {
          await run(async (tx) => {
            calls++;
            const [from, to] = [accounts[(at + count) % 3]!, accounts[((at * 2 + count) % 3) + 3]!];
            const before = (await tx.get(from)) as number;
            tx.set(to, ((await tx.get(to)) as number) + 5);
            tx.set(from, before - 5);
          });
          const balances = await run((tx) => Promise.all(accounts.map((key) => tx.get(key))));
          expect((balances as number[]).reduce((sum, balance) => sum + balance)).toBe(900);
        }
      }),
    );
    expect(calls).toBeGreaterThanOrEqual(3 * moves);
  });

  test('a client that goes away before it has decided holds up the others for the time of its lease at most', async () => {
    const [one, other] = await startTransactors(backend, 2);
    await one!.run((tx) => tx.set('a', 1));
    // Its nodes have promised, and it can be heard no more.
    const { gone } = one!;
    const begun = performance.now();
    const failing = one!.run((tx) => {
      for (const key of accounts) tx.set(key, 1);
      setImmediate(() => gone.add('n2'));
    });
    await expect(failing.catch((error: PaipaiError) => error.code)).resolves.toBeOneOf([
      undefined,
      'PAIPAI_ERR_NODE_LOST',
    ]);
    gone.clear();
    const there = await other!.run((tx) => Promise.all(accounts.map((key) => tx.get(key))));
    expect(new Set(there).size).toBe(1);
    expect(performance.now() - begun).toBeLessThan(60_000);
    await expect.poll(() => other!.inDoubt(), { timeout: 20_000 }).toEqual([]);
  });

  test('what is too much for a transaction, and what is none, is refused, and nothing is written', async () => {
    const [one] = await startTransactors(backend, 1);
    const refused = async (work: TransactionWork<unknown>): Promise<unknown> =>
      one!.run(work).then(
        () => 'done',
        (error: PaipaiError) => error.code,
      );
    const invalid = 'PAIPAI_ERR_INVALID_ARGUMENT';
    expect(await refused((tx) => tx.set('', 1))).toBe(invalid);
    expect(await refused((tx) => tx.set('x'.repeat(501), 1))).toBe(invalid);
    expect(await refused((tx) => tx.get('\ud800'))).toBe(invalid);
    expect(await refused((tx) => tx.set('a', undefined))).toBe(invalid);
    expect(await refused((tx) => tx.set('a', () => {}))).toBe('PAIPAI_ERR_VALUE');
    expect(await refused((tx) => tx.set('a', new Uint8Array(600_000)))).toBe(invalid);
    expect(
      await refused((tx) => {
        for (let at = 0; at < 65; at++) tx.set(`k${at}`, 1);
      }),
    ).toBe(invalid);
    let kept: { set(key: string, value: unknown): void } | undefined;
    await one!.run((tx) => {
      kept = tx;
    });
    expect(() => kept?.set('a', 1)).toThrow('over');
    const read = await one!.run((tx) => Promise.all([tx.get('a'), tx.get('k0')]));
    expect(read).toEqual([undefined, undefined]);
  });
});
