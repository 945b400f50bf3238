import { describe, expect, onTestFinished, test } from 'vitest';
import { Net, type NetOptions, Node } from '../../../dist/index.js';
import type { RunningNode } from '../../../dist/node/runtime.js';
import { type RunNodeOptions, runNode } from '../../../dist/node/serve.js';
import { reached, startNet } from '../../main-job/nets.js';
import { makeFolder } from '../../support/folders.js';
import { NodeProcess } from '../../support/node-process.mjs';
import { codeOf } from '../../support/session-pair.js';

/** Who serves the table of a net, and what is said when nobody does. */

const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

async function startNode(
  nodeId: string,
  options: Partial<RunNodeOptions> = {},
): Promise<RunningNode> {
  const node = await runNode({ listen: 'tcp://127.0.0.1:0', nodeId, ...options });
  onTestFinished(() => node.close());
  return node;
}

async function joined(join: string, options: NetOptions = {}): Promise<Net> {
  const net = new Net({ join: [join], ...options });
  onTestFinished(() => net.close());
  await net.start();
  return net;
}

describe('net.coordinator', () => {
  test('of embedded nodes the first one serves it', async () => {
    const { net, nodes } = await startNet(2, { runAs: 'inline' });
    expect(net.nodes().map(({ coordinates }) => coordinates)).toEqual([true, undefined]);
    const { coordinator } = net;
    const watch = coordinator.watch('a', { after: 0 });
    const { version } = await coordinator.compareAndSet('a', 0, bytes('1'));
    expect(await coordinator.get('a')).toMatchObject({ value: bytes('1'), version });
    expect((await watch.next()).value).toEqual({ key: 'a', version, value: bytes('1') });
    const stale = await coordinator.compareAndSet('a', 0, bytes('2'));
    expect([stale.isSet, stale.version]).toEqual([false, version]);
    expect(nodes[0]?.id).toBe('1');
    const waiting = codeOf(watch.next());
    await net.close();
    expect(await waiting).toBe('PAIPAI_ERR_CLOSED');
    expect(await codeOf(coordinator.get('a'))).toBe('PAIPAI_ERR_CLOSED');
  });

  test('clients that join find it, whomever they asked, and see one table', async () => {
    const a = await startNode('a');
    const b = await startNode('b', { join: [a.address], coordinator: true });
    const c = await startNode('c', { join: [a.address] });
    expect(await reached(10_000, () => c.members().length === 3)).toBe(true);
    const one = await joined(a.address);
    const other = await joined(c.address);
    const third = await joined(a.address, { route: 'hub' });
    const { version } = await one.coordinator.compareAndSet('a', 0, bytes('1'));
    expect(await other.coordinator.get('a')).toMatchObject({ value: bytes('1'), version });
    expect(await third.coordinator.get('a')).toMatchObject({ value: bytes('1'), version });
    const byHand = new Net();
    onTestFinished(() => byHand.close());
    byHand.addNode(new Node('far', { address: b.address }));
    await byHand.start();
    expect((await byHand.coordinator.get('a')).version).toBe(version);
    const claims = one.nodes().filter(({ coordinates }) => coordinates);
    expect(claims.map(({ id }) => id)).toEqual(['b']);
  });

  test('a node that others reach through a hub alone can serve it', async () => {
    const hub = await startNode('hub');
    await startNode('behind', { hubs: [hub.address], coordinator: true });
    const net = await joined(hub.address, { route: 'hub' });
    expect((await net.coordinator.compareAndSet('a', 0, bytes('1'))).isSet).toBe(true);
  });

  test('before the start, after the end, and where there is none', async () => {
    const net = new Net();
    expect(await codeOf(net.coordinator.get('a'))).toBe('PAIPAI_ERR_NOT_STARTED');
    await net.close();
    expect(await codeOf(net.coordinator.get('a'))).toBe('PAIPAI_ERR_CLOSED');
    const a = await startNode('a');
    const without = await joined(a.address);
    expect(await codeOf(without.coordinator.get('a'))).toBe('PAIPAI_ERR_INVALID_STATE');
  });

  test('two that claim it: the later one does not start, and a client that has both asks neither', async () => {
    const a = await startNode('a', { coordinator: true });
    const late = runNode({
      listen: 'tcp://127.0.0.1:0',
      nodeId: 'b',
      join: [a.address],
      coordinator: true,
    });
    expect(await codeOf(late)).toBe('PAIPAI_ERR_COORDINATOR_AMBIGUOUS');
    const apart = await startNode('c', { coordinator: true });
    const net = new Net({ join: [a.address] });
    onTestFinished(() => net.close());
    net.addNode(new Node('c', { address: apart.address }));
    await net.start();
    expect(await codeOf(net.coordinator.get('a'))).toBe('PAIPAI_ERR_COORDINATOR_AMBIGUOUS');
    await net.removeNode(net.node('c'));
    expect((await net.coordinator.get('a')).version).toBe(0);
  });

  test('a killed one is down for those who knew it and those who come, and back with all that it had', async () => {
    const store = ['--store', `files:${makeFolder()}/s`, '--coordinator', '--id', 'table'];
    const table = await NodeProcess.start(store);
    onTestFinished(() => table.kill());
    const a = await startNode('a', { join: [table.address] });
    const net = await joined(a.address);
    const { version } = await net.coordinator.compareAndSet('a', 0, bytes('1'));
    const watch = net.coordinator.watch('a', { after: version });
    const waiting = codeOf(watch.next());
    await table.kill();
    expect(await waiting).toBe('PAIPAI_ERR_PEER_CLOSED');
    expect(await codeOf(net.coordinator.get('a'))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
    const isDead = () =>
      a.members().some(({ nodeId, state }) => nodeId === 'table' && state === 'dead');
    expect(await reached(20_000, isDead)).toBe(true);
    const late = await joined(a.address);
    await expect(late.coordinator.get('a')).rejects.toMatchObject({
      code: 'PAIPAI_ERR_COORDINATOR_DOWN',
      nodeId: 'table',
    });

    await table.start();
    for (const each of [net, late]) {
      const isBack = () =>
        each.nodes().some(({ id, state }) => id === 'table' && state === 'alive');
      expect(await reached(20_000, isBack)).toBe(true);
      expect(await each.coordinator.get('a')).toMatchObject({ value: bytes('1'), version });
    }
    const next = await late.coordinator.compareAndSet('a', version, bytes('2'));
    expect(next.isSet).toBe(true);
    expect((await net.coordinator.watch('a', { after: version }).next()).value).toEqual({
      key: 'a',
      version: next.version,
      value: bytes('2'),
    });
  }, 90_000);
});
