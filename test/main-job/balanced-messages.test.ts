import { expect, test } from 'vitest';
import type { BalancingStrategy, Net } from '../../dist/index.js';
import { codeOf } from '../support/session-pair.js';
import { startNet } from './nets.js';

/** Messages that any node may take. */

const handlers = new URL('./message-handlers.mjs', import.meta.url);
const strategies = ['p2cEwma', 'leastInFlight', 'cpuLoad', 'roundRobin'] as const;

test('a message to any node is taken by one of them, and the spread says by which', async () => {
  const { net, nodes } = await startNet(3, { handlers, runAs: 'inline' });
  for (const strategy of strategies) {
    const takers: string[] = [];
    for (let at = 0; at < 12; at++) {
      const { nodeId, value } = await net.sendToAny('dawdles', 0, { strategy });
      expect(value).toBe(nodeId);
      takers.push(nodeId);
    }
    const { totalTasks, perNode, maxToMean, fairness } = net.messageSpread(strategy);
    expect(totalTasks).toBe(12);
    for (const { nodeId, tasks, weight } of perNode) {
      expect(tasks).toBe(takers.filter((id) => id === nodeId).length);
      expect(weight).toBeCloseTo(tasks / 12, 12);
    }
    const most = Math.max(...perNode.map(({ tasks }) => tasks));
    expect(maxToMean).toBeCloseTo(most / 4, 12);
    expect(fairness).toBeLessThanOrEqual(1);
    if (strategy === 'roundRobin')
      expect({ maxToMean, fairness }).toEqual({ maxToMean: 1, fairness: 1 });
  }
  await net.removeNode(nodes[0] as (typeof nodes)[number]);
  const after = await Promise.all(
    Array.from({ length: 6 }, () => net.sendToAny('dawdles', 0, { strategy: 'roundRobin' })),
  );
  expect(after.map(({ nodeId }) => nodeId)).not.toContain('1');
});

test('it fails as a message to one node does, and is sent to no other', async () => {
  const { net } = await startNet(2, { handlers, runAs: 'inline' });
  await expect(net.sendToAny('throws')).rejects.toMatchObject({
    code: 'PAIPAI_ERR_HANDLER_FAILED',
    nodeId: expect.stringMatching(/^[12]$/),
  });
  expect(net.messageSpread().totalTasks).toBe(1);
  expect(await codeOf(net.sendToAny('hangs', null, { deadlineMs: 50 }))).toBe(
    'PAIPAI_ERR_DEADLINE',
  );
  const fastest = 'fastest' as BalancingStrategy;
  expect(await codeOf(net.sendToAny('echo', 1, { strategy: fastest }))).toBe(
    'PAIPAI_ERR_INVALID_ARGUMENT',
  );
  expect(() => net.messageSpread(fastest)).toThrow(
    expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
  );
});

/** 200 messages of 8 callers, each of whom awaits the one before. */
async function p99Of(net: Net, strategy: BalancingStrategy): Promise<number> {
  const latencies: number[] = [];
  let leftCount = 200;
  const call = async (): Promise<void> => {
    while (leftCount-- > 0) {
      const startMs = performance.now();
      await net.sendToAny('dawdles', 8, { strategy });
      latencies.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: 8 }, call));
  return latencies.sort((a, b) => a - b)[197] ?? Number.NaN;
}

test('one node ten times slower: p99 under EWMA at most half of that by turns', async () => {
  const { net } = await startNet(5, { handlers, runAs: 'inline' });
  for (let at = 0; at < 10; at++) await net.broadcast('dawdles', 0); // All workers run.
  const turns = await p99Of(net, 'roundRobin');
  const ewma = await p99Of(net, 'p2cEwma');
  expect(ewma).toBeLessThanOrEqual(turns / 2);
  const [slow] = net.messageSpread('p2cEwma').perNode;
  expect(slow).toMatchObject({ nodeId: '1' });
  expect(slow?.weight).toBeLessThan(0.1);
});
