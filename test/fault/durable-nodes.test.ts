import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { encodeGetRequest, getMethod } from '../../dist/cluster/transfer/messages.js';
import { Data, Net, Node, type StoreChoice } from '../../dist/index.js';
import { decodeNodeInfo } from '../../dist/node/node-info.js';
import { createRealEnv } from '../../dist/node/real-env.js';
import type { RunningNode } from '../../dist/node/runtime.js';
import { selectEngine } from '../../dist/node/select-network.js';
import { runNode } from '../../dist/node/serve.js';
import { connectPeer } from '../../dist/session/connect.js';
import type { Peer } from '../../dist/session/types.js';
import type { DurableStore } from '../../dist/store/durable-store.js';
import { type DurableChoice, openDurableStore } from '../../dist/store/open-store.js';
import { noise } from '../main-job/nets.js';
import { makeFolder } from '../support/folders.js';

/** Nodes whose shards lie on disk: what is there when node, net or process has gone. */

const shardBytes = 64 * 1024;
const content = noise(3_000_000, 5);
const shardCount = Math.ceil(content.length / shardBytes);

function choose(kind: 'lmdb' | 'files'): DurableChoice {
  const folder = join(makeFolder(), 's');
  return kind === 'lmdb' ? { lmdb: folder } : { files: folder };
}

async function openStore(choice: DurableChoice): Promise<DurableStore> {
  const store = await openDurableStore(choice, {});
  onTestFinished(() => store.close());
  return store;
}

async function expectAll(store: DurableStore): Promise<void> {
  const shards = store.list('book');
  expect(shards.map(({ key }) => key.index)).toEqual(
    Array.from({ length: shardCount }, (_, i) => i),
  );
  for (const { key, meta } of shards) {
    const lease = await store.get(key);
    const expected = content.subarray(meta.offset, meta.offset + shardBytes);
    expect(Buffer.compare(lease?.view ?? new Uint8Array(0), expected)).toBe(0);
    lease?.release();
  }
}

async function netWith(...nodes: Node[]): Promise<[Net, Data]> {
  const net = new Net();
  onTestFinished(() => net.close());
  for (const node of nodes) net.addNode(node);
  const data = new Data('book', content, { shardBytes });
  net.addData(data);
  await net.start();
  return [net, data];
}

async function nodeAt(listen: string, store: StoreChoice): Promise<RunningNode> {
  const node = await runNode({ listen, store });
  onTestFinished(() => node.close());
  return node;
}

async function connectTo(address: string): Promise<Peer> {
  const { network } = selectEngine('auto');
  const peer = await connectPeer({ ...createRealEnv(), network }, address, { nodeId: 'test' });
  onTestFinished(() => peer.destroy());
  return peer;
}

async function shardsOf(peer: Peer): Promise<number> {
  return decodeNodeInfo(await peer.request('node.info')).shards;
}

describe.each(['lmdb', 'files'] as const)('a node on %s', (kind) => {
  test.each(['process', 'thread', 'inline'] as const)(
    'as %s transfers, processes, reads back, and leaves the shards',
    async (runAs) => {
      const store = choose(kind);
      const [net, data] = await netWith(new Node(1, { runAs, store }));
      await net.transfer(data);
      const { value } = await net.process(data);
      expect(value).toMatchObject({ bytes: content.length, shards: shardCount });
      expect(Buffer.compare(await net.read(data), content)).toBe(0);
      await net.close();
      await expectAll(await openStore(store));
    },
  );

  test('that is killed has every shard that it confirmed', async () => {
    const store = choose(kind);
    const node = new Node(1, { store });
    const [net, data] = await netWith(node);
    await net.transfer(data);
    const lost = new Promise((resolve) => net.once('nodeLost', resolve));
    process.kill(node.pid ?? 0, 'SIGKILL');
    await lost;
    await expectAll(await openStore(store));
  });

  test('keeps what a net stored when the net closes, and has it after a restart', async () => {
    const store = choose(kind);
    const listen = `unix://${join(makeFolder(), 'n.sock')}`;
    const first = await nodeAt(listen, store);
    const [net, data] = await netWith(new Node(1, { address: listen }));
    await net.transfer(data);
    await net.close();
    await first.close();

    await nodeAt(listen, store);
    const peer = await connectTo(listen);
    expect(await shardsOf(peer)).toBe(shardCount);
    const stream = peer.openStream(
      getMethod,
      encodeGetRequest({ dataId: 'book', version: 0n, index: 3 }),
    );
    const into = new Uint8Array(new SharedArrayBuffer(shardBytes));
    expect(await stream.receiveInto(into)).toMatchObject({ bytes: shardBytes });
    expect(Buffer.compare(into, content.subarray(3 * shardBytes, 4 * shardBytes))).toBe(0);
  });

  test('has nothing of a transfer that was given up', async () => {
    const listen = `unix://${join(makeFolder(), 'n.sock')}`;
    await nodeAt(listen, choose(kind));
    const [net, data] = await netWith(new Node(1, { address: listen }));
    const stop = new AbortController();
    const transfer = net.transfer(data, undefined, {
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(transfer).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
    expect(await shardsOf(await connectTo(listen))).toBe(0);
  });

  test('drops each shard after use when it is told to', async () => {
    const store = choose(kind);
    const [net, data] = await netWith(new Node(1, { store }));
    const { value } = await net.process(data, 'digest', { keep: false });
    expect(value).toMatchObject({ bytes: content.length });
    await net.close();
    expect((await openStore(store)).usage().shards).toBe(0);
  });

  test('shares its store with no other', async () => {
    const store = choose(kind);
    await openStore(store);
    const net = new Net().addNode(new Node(1, { store }));
    onTestFinished(() => net.close());
    await expect(net.start()).rejects.toMatchObject({ code: 'PAIPAI_ERR_STORE_IN_USE' });
  });
});
