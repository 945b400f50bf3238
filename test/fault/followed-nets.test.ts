import { expect, onTestFinished, test } from 'vitest';
import { Data, Net, type NetEvents, type Node } from '../../dist/index.js';
import { noise, reached } from '../main-job/nets.js';
import { NodeProcess } from '../support/node-process.mjs';

/** A client that joined a net keeps up with it: nodes come, stall, die, say goodbye and come back. */

const timeout = 60_000;

async function start(id: string, ...seeds: readonly NodeProcess[]): Promise<NodeProcess> {
  const joins = seeds.flatMap(({ address }) => ['--join', address]);
  const node = await NodeProcess.start(['--id', id, ...joins]);
  onTestFinished(() => node.kill());
  return node;
}

/** A net that has joined at `seed`, and what it has told about its nodes: `join c`. */
async function joined(seed: NodeProcess): Promise<{ net: Net; events: string[] }> {
  const net = new Net({ join: [seed.address], placement: 'weighted' });
  onTestFinished(() => net.close());
  const events: string[] = [];
  const names = ['join', 'suspect', 'alive', 'fail', 'leave', 'nodeLost', 'nodeBack'] as const;
  for (const name of names satisfies readonly (keyof NetEvents)[]) {
    net.on(name, (node: Node) => events.push(`${name} ${node.id}`));
  }
  await net.start();
  return { net, events };
}

const idsOf = (net: Net): string[] =>
  net
    .nodes()
    .map(({ id }) => id)
    .sort();

async function hear(events: readonly string[], event: string): Promise<void> {
  await reached(30_000, () => events.includes(event));
  expect(events).toContain(event);
}

test('nodes that come later take part, and those that say goodbye do not', {
  timeout,
}, async () => {
  const a = await start('a');
  const { net, events } = await joined(a);
  expect(idsOf(net)).toEqual(['a']);
  const b = await start('b', a);
  await hear(events, 'join b');
  expect(idsOf(net)).toEqual(['a', 'b']);
  const data = new Data('d', noise(100_000), { shardBytes: 1_000 });
  net.addData(data);
  const { perNode } = await net.transfer(data);
  expect(perNode.map(({ bytes }) => bytes)).toEqual([50_000, 50_000]);
  await b.kill('SIGTERM');
  await hear(events, 'leave b');
  expect(idsOf(net)).toEqual(['a']);
  expect(events).not.toContain('fail b');
});

test('one that is killed has failed, and is back when it is started again elsewhere', {
  timeout,
}, async () => {
  const a = await start('a');
  const b = await start('b', a);
  const c = await start('c', a);
  const { net, events } = await joined(a);
  expect(await reached(10_000, () => idsOf(net).length === 3)).toBe(true);
  await c.kill();
  await hear(events, 'nodeLost c');
  await hear(events, 'fail c');
  expect(net.nodes().find(({ id }) => id === 'c')).toMatchObject({ state: 'lost' });
  const again = await start('c', b);
  await hear(events, 'nodeBack c');
  expect(net.nodes().find(({ id }) => id === 'c')).toMatchObject({
    state: 'alive',
    address: again.address,
  });
});

test('one that was killed a moment ago is waited for until the others bury it', {
  timeout,
}, async () => {
  const a = await start('a');
  const b = await start('b', a);
  const c = await start('c', a, b);
  const { net: before } = await joined(a);
  expect(await reached(10_000, () => idsOf(before).length === 3)).toBe(true);
  await c.kill();
  const { net } = await joined(a);
  expect(idsOf(net)).toEqual(['a', 'b']);
});

test('one that stands still is suspect, and not buried', { timeout }, async () => {
  const a = await start('a');
  await start('b', a);
  const c = await start('c', a);
  const { net, events } = await joined(a);
  expect(await reached(10_000, () => idsOf(net).length === 3)).toBe(true);
  process.kill(c.pid ?? 0, 'SIGSTOP');
  await hear(events, 'suspect c');
  expect(net.nodes().find(({ id }) => id === 'c')).toMatchObject({ state: 'suspect' });
  process.kill(c.pid ?? 0, 'SIGCONT');
  await hear(events, 'alive c');
  expect(net.nodes().find(({ id }) => id === 'c')).toMatchObject({ state: 'alive' });
  expect(events).not.toContain('fail c');
});

test('one that was removed does not come back with the next list', { timeout }, async () => {
  const a = await start('a');
  const b = await start('b', a);
  const { net, events } = await joined(a);
  expect(await reached(10_000, () => idsOf(net).length === 2)).toBe(true);
  expect(net.node('b').address).toBe(b.address);
  const data = new Data('d', noise(10_000), { shardBytes: 1_000 });
  net.addData(data);
  const { perNode } = await net.process(data);
  expect(perNode.map(({ nodeId }) => nodeId).sort()).toEqual(['a', 'b']);
  await net.removeNode(net.node('b'));
  await start('c', a);
  await hear(events, 'join c');
  expect(idsOf(net)).toEqual(['a', 'c']);
});

test('another at the address of one that is gone takes part under its own id', {
  timeout,
}, async () => {
  const a = await start('a');
  const { net, events } = await joined(a);
  await a.kill();
  await hear(events, 'nodeLost a');
  const other = new NodeProcess(['--id', 'other']);
  onTestFinished(() => other.kill());
  other.address = a.address;
  await other.start();
  await hear(events, 'join other');
  const data = new Data('d', noise(1_000));
  net.addData(data);
  const { perNode } = await net.transfer(data);
  expect(perNode.map(({ nodeId }) => nodeId)).toEqual(['other']);
});

test('the node that is asked may die: another is', { timeout }, async () => {
  const a = await start('a');
  const b = await start('b', a);
  const { net, events } = await joined(b);
  expect(await reached(10_000, () => idsOf(net).length === 2)).toBe(true);
  await a.kill();
  await hear(events, 'nodeLost a');
  await start('c', b);
  await hear(events, 'join c');
});
