import { describe, expect, onTestFinished, test } from 'vitest';
import { Data, type DataOptions, Net, Node, type RebalanceReport } from '../../dist/index.js';
import { runNode } from '../../dist/node/serve.js';
import { codeOf } from '../support/session-pair.js';
import { handlers, noise, startNet } from './nets.js';

/** Shards move to where placement puts them when nodes come and go, and nobody who works with them is disturbed. */

const shardBytes = 4 * 1024;
const content = noise(1_000_001, 5);
const byteSum = content.reduce((sum, byte) => sum + byte, 0);
const bounded = { runAs: 'inline', placement: 'boundedRendezvous' } as const;

function dataOf(id: string, options: DataOptions = {}): Data {
  return new Data(id, content, { shardBytes, ...options });
}

/** A node that runs by itself, as a net sees it that has not joined it yet. */
async function farNode(id: string): Promise<Node> {
  const remote = await runNode({ listen: 'tcp://127.0.0.1:0', nodeId: id, handlers });
  onTestFinished(() => remote.close());
  return new Node(id, { address: remote.address });
}

async function expectWhole(net: Net, data: Data): Promise<void> {
  expect(Buffer.compare(await net.read(data), content)).toBe(0);
  expect((await net.process(data, 'byteSum')).value).toBe(byteSum);
}

function expectInPlace(net: Net, data: Data): void {
  for (const { nodeIds, belongsTo } of net.explain(data).shards) {
    expect([...nodeIds].sort()).toEqual([...belongsTo].sort());
  }
}

const idsOf = (net: Net): string[] => net.nodes().map(({ id }) => id);

describe('a node that joins a running net', () => {
  test.each([1, 2])('gets its part of data with %i copies, as the plan says', async (replicas) => {
    const { net } = await startNet(3, bounded);
    const data = dataOf('d', { replicas });
    net.addData(data);
    await net.transfer(data);
    const far = await farNode('far');
    const plan = await net.plan({ add: far });
    expect(plan.part).toBeGreaterThan(0);
    expect(plan.part).toBeLessThanOrEqual(1.5 / 4);
    expect(idsOf(net)).toEqual(['1', '2', '3']);

    const joined = new Promise((resolve) => net.once('join', resolve));
    await net.joinNode(far);
    expect(await joined).toBe(far);
    expect(idsOf(net)).toEqual(['1', '2', '3', 'far']);
    const report = await net.rebalance();
    expect(report).toMatchObject({
      copies: plan.copies,
      bytes: plan.bytes,
      dropped: plan.copies,
      shardsShort: 0,
    });
    expectInPlace(net, data);
    const held = new Map(plan.perNode.map(({ nodeId, bytesAfter }) => [nodeId, bytesAfter]));
    const now = new Map([...held.keys()].map((id) => [id, 0]));
    for (const { nodeIds, bytes } of net.explain(data).shards) {
      for (const id of nodeIds) now.set(id, (now.get(id) ?? 0) + bytes);
    }
    expect(now).toEqual(held);
    await expectWhole(net, data);
    expect(await net.rebalance()).toMatchObject({ copies: 0, dropped: 0 });
    expect(await net.plan({})).toMatchObject({ copies: 0, bytes: 0, moves: [] });
  });

  test('takes nothing from data that were put on a certain node', async () => {
    const { net, nodes } = await startNet(2, bounded);
    const data = dataOf('pinned');
    net.addData(data);
    await net.transfer(data, nodes[0]);
    await net.joinNode(await farNode('far'));
    expect(await net.rebalance()).toMatchObject({ copies: 0, dropped: 0 });
    expect(net.explain(data).shards.every(({ nodeIds }) => nodeIds.join() === '1')).toBe(true);
  });

  test('has to be reachable, new and of its own', async () => {
    const { net } = await startNet(1, bounded);
    expect(await codeOf(net.joinNode(new Node('2')))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    const gone = new Node('gone', { address: 'tcp://127.0.0.1:1' });
    expect(await codeOf(net.joinNode(gone))).toBe('PAIPAI_ERR_NODE_START');
    expect(idsOf(net)).toEqual(['1']);
    expect(await codeOf(net.plan({ add: new Node('1', { address: 'tcp://127.0.0.1:1' }) }))).toBe(
      'PAIPAI_ERR_DUPLICATE_ID',
    );
    const far = await farNode('1');
    expect(await codeOf(net.joinNode(far))).toBe('PAIPAI_ERR_DUPLICATE_ID');
  });
});

describe('a node that is removed', () => {
  test.each([1, 2])('hands over all it has, %i copies of each, and ends', async (replicas) => {
    const { net, nodes } = await startNet(4, { ...bounded, runAs: 'process' });
    const [first] = nodes;
    if (first === undefined) throw new Error('there are four nodes');
    const data = dataOf('d', { replicas });
    net.addData(data);
    await net.transfer(data);
    const plan = await net.plan({ remove: first });
    expect(plan.perNode.find(({ nodeId }) => nodeId === '1')?.bytesAfter).toBe(0);
    const { pid } = first;
    const left = new Promise((resolve) => net.once('leave', resolve));
    expect(await net.removeNode(first)).toMatchObject({ copies: plan.copies, bytes: plan.bytes });
    expect(await left).toBe(first);
    expect(idsOf(net)).toEqual(['2', '3', '4']);
    expect(() => process.kill(pid ?? 0, 0)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
    expectInPlace(net, data);
    await expectWhole(net, data);
    // It is free for another net, or this one again.
    await expect(net.transfer(data, first)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_UNKNOWN_NODE',
    });
  });

  test('also when all data were put on it', async () => {
    const { net, nodes } = await startNet(3, bounded);
    const [first] = nodes;
    if (first === undefined) throw new Error('there are three nodes');
    const data = dataOf('pinned');
    net.addData(data);
    await net.transfer(data, first);
    await net.removeNode(first);
    expectInPlace(net, data);
    await expectWhole(net, data);
  });

  test('waits for a transfer that has begun, and gets nothing new', async () => {
    const { net, nodes } = await startNet(3, bounded);
    const [first] = nodes;
    if (first === undefined) throw new Error('there are three nodes');
    const [begun, later] = [dataOf('begun'), dataOf('later')];
    net.addData(begun).addData(later);
    const transfer = net.transfer(begun);
    const removing = net.removeNode(first);
    expect(await codeOf(net.transfer(later, first))).toBe('PAIPAI_ERR_INVALID_STATE');
    expect(await codeOf(first.process(later))).toBe('PAIPAI_ERR_INVALID_STATE');
    await net.transfer(later);
    await transfer;
    await removing;
    for (const data of [begun, later]) {
      expectInPlace(net, data);
      await expectWhole(net, data);
    }
  });

  test('stays when it went away with the only copies', async () => {
    const { net, nodes, pids } = await startNet(3, { ...bounded, runAs: 'process' });
    const [first] = nodes;
    if (first === undefined) throw new Error('there are three nodes');
    const data = dataOf('d');
    net.addData(data);
    await net.transfer(data);
    const lost = new Promise((resolve) => net.once('nodeLost', resolve));
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await lost;
    const held = net.explain(data).shards.filter(({ nodeIds }) => nodeIds.length === 0);
    await expect(net.removeNode(first)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_NODE_LOST',
      shardIndexes: held.map(({ index }) => index),
    });
    expect(net.nodes().map(({ id, state }) => [id, state])).toContainEqual(['1', 'lost']);
  });

  test('and is lost goes when the others have copies', async () => {
    const { net, nodes, pids } = await startNet(3, { ...bounded, runAs: 'process' });
    const [first] = nodes;
    if (first === undefined) throw new Error('there are three nodes');
    const data = dataOf('d', { replicas: 2 });
    net.addData(data);
    await net.transfer(data);
    const lost = new Promise((resolve) => net.once('nodeLost', resolve));
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await lost;
    expect(await net.removeNode(first)).toMatchObject({ shardsShort: 0 });
    expect(idsOf(net)).toEqual(['2', '3']);
    for (const { lostNodeIds } of net.explain(data).shards) expect(lostNodeIds).toEqual([]);
    await expectWhole(net, data);
  });

  test('can come back', async () => {
    const { net } = await startNet(2, bounded);
    const far = await farNode('far');
    const data = dataOf('d');
    net.addData(data);
    await net.joinNode(far);
    await net.transfer(data);
    await net.removeNode(far);
    await net.joinNode(far);
    await net.rebalance();
    expectInPlace(net, data);
    await expectWhole(net, data);
  });

  test('cannot be the last, nor one of another net', async () => {
    const { net, nodes } = await startNet(1, bounded);
    const [only] = nodes;
    if (only === undefined) throw new Error('there is one node');
    expect(await codeOf(net.removeNode(only))).toBe('PAIPAI_ERR_INVALID_STATE');
    expect(await codeOf(net.plan({ remove: only }))).toBe('PAIPAI_ERR_INVALID_STATE');
    expect(await codeOf(net.removeNode(new Node('1')))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
    expect(await codeOf(net.plan({ remove: new Node('1') }))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
  });
});

test('a rebalancing beside work that brings its data waits until all of them are there', async () => {
  const { net } = await startNet(3, bounded);
  const data = dataOf('d', { replicas: 2 });
  net.addData(data);
  const processing = net.process(data, 'byteSum');
  expect(await net.rebalance()).toMatchObject({ copies: 0, dropped: 0, shardsShort: 0 });
  expect((await processing).value).toBe(byteSum);
  expectInPlace(net, data);
});

test('with too few nodes it says how many shards are short', async () => {
  const { net, nodes } = await startNet(2, bounded);
  const [first] = nodes;
  if (first === undefined) throw new Error('there are two nodes');
  const data = dataOf('d', { replicas: 2 });
  net.addData(data);
  const { shards } = await net.transfer(data);
  expect(await net.removeNode(first)).toMatchObject({ copies: 0, shardsShort: shards });
});

test('data are read and processed while they move', async () => {
  const { net, nodes } = await startNet(4, bounded);
  const data = dataOf('d', { replicas: 2 });
  net.addData(data);
  await net.transfer(data);
  let isDone = false;
  const [first] = nodes;
  if (first === undefined) throw new Error('there are four nodes');
  const removing = net.removeNode(first, { bytesPerSecond: 500_000 }).finally(() => {
    isDone = true;
  });
  let rounds = 0;
  while (!isDone) {
    await expectWhole(net, data);
    rounds++;
  }
  await removing;
  expect(rounds).toBeGreaterThan(0);
  expectInPlace(net, data);
});

test('a rebalancing that is aborted ends, and what has moved has moved', async () => {
  const { net, nodes } = await startNet(3, bounded);
  const [first] = nodes;
  if (first === undefined) throw new Error('there are three nodes');
  const data = dataOf('d');
  net.addData(data);
  await net.transfer(data);
  const stop = new AbortController();
  const removing = net.removeNode(first, {
    bytesPerSecond: 100_000,
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  expect(await codeOf(removing)).toBe('PAIPAI_ERR_ABORTED');
  expect(idsOf(net)).toEqual(['1', '2', '3']);
  await expectWhole(net, data);
});

test('in the background it begins by itself, after a node came or went', async () => {
  const { net, pids } = await startNet(4, {
    ...bounded,
    runAs: 'process',
    rebalance: { afterMs: 10 },
  });
  const data = dataOf('d', { replicas: 2 });
  net.addData(data);
  await net.transfer(data);
  const next = (): Promise<RebalanceReport> =>
    new Promise((resolve) => net.once('rebalance', resolve));
  const lost = next();
  process.kill(pids[0] ?? 0, 'SIGKILL');
  // Every copy that the dead node had is made anew.
  expect((await lost).copies).toBeGreaterThan(0);
  expectInPlace(net, data);
  const grown = next();
  await net.joinNode(await farNode('far'));
  expect((await grown).dropped).toBeGreaterThan(0);
  expectInPlace(net, data);
  await expectWhole(net, data);
});

test('a net that leaves finishes what is under way, and takes nothing new', async () => {
  const { net } = await startNet(2, bounded);
  const data = dataOf('d');
  net.addData(data);
  const transfer = net.transfer(data);
  const leaving = net.leave();
  expect(await codeOf(net.process(data))).toBe('PAIPAI_ERR_CLOSED');
  expect(await transfer).toMatchObject({ bytes: content.length });
  await leaving;
  expect(await codeOf(net.read(data))).toBe('PAIPAI_ERR_CLOSED');
});

test.each([
  ['rebalance', { rebalance: 'yes' }],
  ['bytesPerSecond', { rebalance: { bytesPerSecond: 10 } }],
  ['afterMs', { rebalance: { afterMs: -1 } }],
])('a wrong %s is refused', (_name, options) => {
  // Wrong on purpose, where the types would not let it through.
  expect(() => new Net(options as never)).toThrow(
    expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
  );
});
