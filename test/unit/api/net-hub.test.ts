import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  encodeRelayAttach,
  relayAcceptMethod,
  relayAttachMethod,
} from '../../../dist/cluster/relay/messages.js';
import { Data, Net, type NetOptions, Node } from '../../../dist/index.js';
import type { RunningNode } from '../../../dist/node/runtime.js';
import { selectEngine } from '../../../dist/node/select-network.js';
import { type RunNodeOptions, runNode } from '../../../dist/node/serve.js';
import { connectPeer } from '../../../dist/session/connect.js';
import { noise, ownTmpdir, reached } from '../../main-job/nets.js';
import { bound } from '../../support/bounds.js';
import { linesOf } from '../../support/notes.js';
import { quietPort } from '../../support/quiet-port.js';
import { codeOf, codeThrown } from '../../support/session-pair.js';
import { shardsOn } from '../../support/shards-on.js';
import { testEnv } from '../../support/test-env.js';

/** Nets that reach their nodes through one of them. */

const handlers = new URL('../../main-job/hub-handlers.mjs', import.meta.url);

async function startNode(
  nodeId: string,
  options: Partial<RunNodeOptions> = {},
): Promise<RunningNode> {
  const node = await runNode({ listen: 'tcp://127.0.0.1:0', nodeId, handlers, ...options });
  onTestFinished(() => node.close());
  return node;
}

/** Nodes hub, b and c, each of which knows the others. */
async function startThree(): Promise<[RunningNode, RunningNode, RunningNode]> {
  const hub = await startNode('hub');
  const b = await startNode('b', { join: [hub.address] });
  const c = await startNode('c', { join: [hub.address] });
  const knowsAll = (node: RunningNode): boolean => node.members().length === 3;
  expect(await reached(10_000, () => [hub, b, c].every(knowsAll))).toBe(true);
  return [hub, b, c];
}

async function startNet(hub: string, options: NetOptions = {}): Promise<Net> {
  const net = new Net({ route: 'hub', join: [hub], placement: 'weighted', ...options });
  onTestFinished(() => net.close());
  await net.start();
  return net;
}

describe('a net through a hub', () => {
  test('sends, broadcasts, transfers, processes, reduces, reads and repairs', async () => {
    const [hub] = await startThree();
    const net = await startNet(hub.address);
    const paths = net.info().nodes.map(({ id, path }) => [id, path === 'hub']);
    expect(paths.sort()).toEqual([
      ['b', true],
      ['c', true],
      ['hub', false],
    ]);
    expect(await net.send('b', 'echo', { a: 1 })).toEqual({ a: 1 });
    const { confirmed, failed } = await net.broadcast('echo', 1);
    expect([confirmed.map(({ nodeId }) => nodeId).sort(), failed]).toEqual([['b', 'c', 'hub'], []]);

    const content = noise(300_000);
    const data = new Data('d', content, { shardBytes: 10_000, replicas: 2 });
    net.addData(data);
    const report = await net.transfer(data);
    expect(report.perNode.map(({ shards }) => shards)).toEqual([20, 20, 20]);
    expect(Buffer.compare(await net.read(data), content)).toBe(0);
    const { value } = await net.process(data, 'byteSum');
    expect(value).toBe(content.reduce((sum, byte) => sum + byte, 0));
    const counts = await net.mapReduce(data, { map: 'byteCounts', reduce: 'sum' });
    expect([...counts.value.values()].reduce((sum: number, n) => sum + Number(n), 0)).toBe(300_000);
    expect(net.explain(data).shards.every(({ nodeIds }) => nodeIds.length === 2)).toBe(true);
    expect((await net.repair(data)).copies).toBe(0);
  });

  test('names the node in errors, and passes deadlines and cancelling on', async () => {
    const [hub] = await startThree();
    const net = await startNet(hub.address);
    await expect(net.send('b', 'throws')).rejects.toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_FAILED',
      nodeId: 'b',
      handler: 'throws',
    });
    const file = join(ownTmpdir(), 'notes');
    const late = net.send('b', 'noteAbort', { file }, { deadlineMs: 300 });
    await expect(late).rejects.toMatchObject({ code: 'PAIPAI_ERR_DEADLINE', nodeId: 'b' });
    // The handler behind the hub hears of it too.
    expect(await reached(10_000, () => linesOf(file).includes('b aborted'))).toBe(true);
    const stop = new AbortController();
    const given = net.send('c', 'noteAbort', { file }, { signal: stop.signal });
    expect(await reached(10_000, () => linesOf(file).includes('c begun'))).toBe(true);
    stop.abort();
    await expect(given).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED', nodeId: 'c' });
    expect(await reached(10_000, () => linesOf(file).includes('c aborted'))).toBe(true);
  });

  test('keeps its data apart from those of other nets, and they go with it', async () => {
    const [hub, b] = await startThree();
    const nets = [await startNet(hub.address), await startNet(hub.address)];
    const contents = [noise(50_000, 1), noise(50_000, 2)];
    for (const [at, net] of nets.entries()) {
      const data = new Data('same', contents[at] ?? 0, { shardBytes: 1_000 });
      net.addData(data);
      await net.transfer(data);
      expect(Buffer.compare(await net.read(data), contents[at] ?? Buffer.alloc(0))).toBe(0);
    }
    const both = await shardsOn(b);
    await nets[0]?.close();
    await expect.poll(() => shardsOn(b), { timeout: 10_000 }).toBe(both / 2);
    await nets[1]?.close();
    await expect.poll(() => shardsOn(b), { timeout: 10_000 }).toBe(0);
  });

  test('cancels a transfer behind the hub, and nothing of it stays there', async () => {
    const [hub, b] = await startThree();
    const net = await startNet(hub.address);
    const stop = new AbortController();
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) yield new Uint8Array(64 * 1024);
    };
    const data = new Data('d', endless(), { shardBytes: 64 * 1024 });
    net.addData(data);
    const transfer = net.transfer(data, undefined, {
      signal: stop.signal,
      onProgress: ({ shards }) => {
        if (shards >= 30) stop.abort();
      },
    });
    await expect(transfer).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
    await expect.poll(() => shardsOn(b), { timeout: 10_000 }).toBe(0);
  });

  test('is told of a lost hub as of lost nodes, and takes them back with it', async () => {
    const [hub] = await startThree();
    const net = await startNet(hub.address);
    const events: string[] = [];
    net.on('nodeLost', ({ id }, { code }) => events.push(`${code} ${id}`));
    net.on('nodeBack', ({ id }) => events.push(`back ${id}`));
    await hub.close();
    expect(await reached(10_000, () => events.length === 3)).toBe(true);
    expect(events.sort()).toEqual(['b', 'c', 'hub'].map((id) => `PAIPAI_ERR_NODE_LOST ${id}`));
    expect(await codeOf(net.send('b', 'echo'))).toBe('PAIPAI_ERR_NODE_LOST');
    await startNode('hub', { listen: hub.address, join: [hub.address] });
    expect(await reached(20_000, () => events.includes('back hub'))).toBe(true);
  });

  test('goes through another hub when the first is lost', async () => {
    const [hub, b] = await startThree();
    const net = await startNet('tcp://127.0.0.1:1', {
      join: ['tcp://127.0.0.1:1', hub.address, b.address],
    });
    const back: string[] = [];
    net.on('nodeBack', ({ id }) => back.push(id));
    await hub.close();
    expect(await reached(20_000, () => back.length === 2)).toBe(true);
    expect(back.sort()).toEqual(['b', 'c']);
    const paths = net.info().nodes.map(({ id, path }) => [id, path === 'hub']);
    expect(paths).toContainEqual(['c', true]);
    expect(paths).toContainEqual(['b', false]);
    expect(await net.send('c', 'echo', 'by b')).toBe('by b');
  });
});

describe('a node that stays connected to a hub', () => {
  test('is reached through it, keeps data, and is there again after the hub was', async () => {
    const [hub] = await startThree();
    await startNode('far', { hubs: [hub.address], weight: 2 });
    const net = await startNet(hub.address);
    const paths = net.info().nodes.map(({ id, path }) => [id, path === 'hub']);
    expect(paths).toContainEqual(['far', true]);
    expect(await net.send('far', 'echo', 'hello')).toBe('hello');
    const content = noise(50_000);
    const data = new Data('d', content, { shardBytes: 1_000 });
    net.addData(data);
    const { perNode } = await net.transfer(data);
    expect(perNode.find(({ nodeId }) => nodeId === 'far')).toMatchObject({ shards: 20 });
    expect(Buffer.compare(await net.read(data), content)).toBe(0);

    const back: string[] = [];
    net.on('nodeBack', ({ id }) => back.push(id));
    await hub.close();
    await startNode('hub', { listen: hub.address });
    expect(await reached(20_000, () => back.includes('far'))).toBe(true);
    expect(await net.send('far', 'echo', 'again')).toBe('again');
  });

  test('is lost to the net when it goes', async () => {
    const hub = await startNode('hub');
    const far = await startNode('far', { hubs: [hub.address] });
    const net = await startNet(hub.address);
    const lost: string[] = [];
    net.on('nodeLost', ({ id }, { code }) => lost.push(`${code} ${id}`));
    await far.close();
    expect(await reached(10_000, () => lost.length > 0)).toBe(true);
    expect(lost).toEqual(['PAIPAI_ERR_NODE_LOST far']);
    const later = await startNet(hub.address);
    expect(later.info().nodes.map(({ id }) => id)).toEqual(['hub']);
  });

  test('has an id of its own, and a hub that is of its net', async () => {
    const [hub] = await startThree();
    const hubs = [hub.address];
    await startNode('far', { hubs });
    for (const id of ['far', 'b', 'hub']) {
      expect(await codeOf(startNode(id, { hubs }))).toBe('PAIPAI_ERR_DUPLICATE_ID');
    }
    expect(await codeOf(startNode('x', { hubs, name: 'other' }))).toBe('PAIPAI_ERR_NET_NAME');
    const secret = 'open sesame, please';
    expect(await codeOf(startNode('x', { hubs, secret }))).toBe('PAIPAI_ERR_SECRET');
    expect(await codeOf(startNode('x', { hubs, join: hubs }))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
    expect(await codeOf(startNode('x', { hubs: [] }))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  });

  test('stands behind a member of its id', async () => {
    const [hub] = await startThree();
    const far = await startNode('x', { hubs: [hub.address], weight: 7 });
    const member = await startNode('x', { join: [hub.address] });
    const knowsIt = (): boolean => hub.members().some(({ nodeId }) => nodeId === 'x');
    expect(await reached(10_000, knowsIt)).toBe(true);
    const net = await startNet(hub.address);
    expect(net.nodes().filter(({ id }) => id === 'x')).toMatchObject([{ weight: 1 }]);
    const data = new Data('d', noise(10_000), { shardBytes: 100 });
    net.addData(data);
    await net.transfer(data);
    expect(await shardsOn(member)).toBeGreaterThan(0);
    expect(await shardsOn(far)).toBe(0);
    const isRefused = (): boolean => far.joinProblem?.code === 'PAIPAI_ERR_DUPLICATE_ID';
    expect(await reached(20_000, isRefused)).toBe(true);
  });

  test('takes the place of one that stands still', async () => {
    const [hub] = await startThree();
    const env = testEnv(selectEngine('auto').network);
    // Its machine has lost its power, as far as the hub can tell.
    const still = await connectPeer(env, hub.address, {
      nodeId: 'far',
      service: { onRequest: () => new Promise(() => {}) },
    });
    onTestFinished(() => still.destroy());
    const node = encodeRelayAttach({ weight: 1, instanceId: 1, coordinates: false });
    await still.request(relayAttachMethod, node);
    const far = await startNode('far', { hubs: [hub.address] });
    expect(far.joinProblem).toBeNull();
    const net = await startNet(hub.address);
    expect(await net.send('far', 'echo', 'here')).toBe('here');
  });

  test('that was removed comes back when it was started anew', async () => {
    const hub = await startNode('hub');
    const far = await startNode('far', { hubs: [hub.address] });
    const net = await startNet(hub.address);
    const events: string[] = [];
    for (const event of ['join', 'leave'] as const) {
      net.on(event, ({ id }) => events.push(`${event} ${id}`));
    }
    // Which one it removes the net knows when it has heard of it while it runs.
    const isHeard = (): boolean =>
      net.nodes().some(({ id, load }) => id === 'far' && load !== undefined);
    expect(await reached(10_000, isHeard)).toBe(true);
    await net.removeNode(net.node('far'));
    const again = await startNet(hub.address);
    expect(again.nodes().map(({ id }) => id)).toContain('far');
    await far.close();
    await startNode('far', { hubs: [hub.address] });
    expect(await reached(20_000, () => events.includes('join far'))).toBe(true);
    expect(await net.send('far', 'echo', 'new')).toBe('new');
  });

  test('without a hub that answers says so, and is there when one does', async () => {
    const address = `tcp://127.0.0.1:${await quietPort()}`;
    const far = await startNode('far', { hubs: [address] });
    expect(far.joinProblem).toMatchObject({ code: 'PAIPAI_ERR_NODE_START', address });
    await startNode('hub', { listen: address });
    expect(await reached(20_000, () => far.joinProblem === null)).toBe(true);
    const net = await startNet(address);
    expect(await net.send('far', 'echo', 1)).toBe(1);
  });
});

describe('a hub', () => {
  test('passes on to members of its net alone', async () => {
    const [hub] = await startThree();
    const stranger = await startNode('stranger');
    const net = new Net({ route: 'hub', join: [hub.address] });
    onTestFinished(() => net.close());
    net.addNode(new Node('stranger', { address: stranger.address }));
    await expect(net.start()).rejects.toMatchObject({
      code: 'PAIPAI_ERR_UNKNOWN_NODE',
      nodeId: 'stranger',
    });
    const later = await startNet(hub.address);
    expect(await codeOf(later.send('stranger', 'echo'))).toBe('PAIPAI_ERR_UNKNOWN_NODE');
  });

  test('knows nodes by their ids, whatever addresses the net was told', async () => {
    const [hub, , c] = await startThree();
    const net = new Net({ route: 'hub', join: [hub.address] });
    onTestFinished(() => net.close());
    net.addNode(new Node('b', { address: c.address }));
    await net.start();
    expect(
      net
        .info()
        .nodes.map(({ id }) => id)
        .sort(),
    ).toEqual(['b', 'c', 'hub']);
    expect(await net.send('b', 'context')).toMatchObject({ nodeId: 'b' });
  });

  test('lets no more than 512 sessions come through others', async () => {
    const node = await startNode('node');
    const env = testEnv(selectEngine('auto').network);
    const peer = await connectPeer(env, node.address, { nodeId: 'hub' });
    onTestFinished(() => peer.destroy());
    const streams = Array.from({ length: 513 }, () => peer.openStream(relayAcceptMethod));
    const refusal = streams.at(-1)?.ended;
    expect(await codeOf(refusal ?? Promise.resolve())).toBe('PAIPAI_ERR_OVERLOADED');
    expect(streams.filter(({ signal }) => signal.aborted).length).toBe(1);
  });

  test('that says nothing does not hold up a close', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => void sockets.push(socket));
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const address = `tcp://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const net = new Net({ route: 'hub', join: [address] });
    const starting = codeOf(net.start());
    await once(silent, 'connection');
    const startMs = performance.now();
    await net.close();
    expect(performance.now() - startMs).toBeLessThan(bound(2_000));
    expect(await starting).toBe('PAIPAI_ERR_CLOSED');
  });

  test('that nobody answers for, or that is no member, fails the start', async () => {
    expect(await codeOf(startNet('tcp://127.0.0.1:1'))).toBe('PAIPAI_ERR_NODE_START');
    const alone = await startNode('alone', { listen: 'tcp://127.0.0.1:0' });
    expect(await codeOf(startNet(alone.address, { name: 'other' }))).toBe('PAIPAI_ERR_NET_NAME');
    const net = await startNet(alone.address);
    expect(net.info().nodes.map(({ id }) => id)).toEqual(['alone']);
  });
});

test.each([
  ['another route', { route: 'moon', join: ['tcp://127.0.0.1:1'] }],
  ['no hub', { route: 'hub' }],
])('%s is refused', (_what, options) => {
  expect(codeThrown(() => new Net(options as NetOptions))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
});
