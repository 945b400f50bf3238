import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { dropMethod, encodeDropRequest } from '../../dist/cluster/transfer/messages.js';
import { Data, Net, Node } from '../../dist/index.js';
import { decodeNodeInfo } from '../../dist/node/node-info.js';
import { createRealEnv } from '../../dist/node/real-env.js';
import { type NodeConfig, type RunningNode, startNode } from '../../dist/node/runtime.js';
import { selectEngine } from '../../dist/node/select-network.js';
import { runNode } from '../../dist/node/serve.js';
import { connectPeer } from '../../dist/session/connect.js';
import type { Peer, PeerStream } from '../../dist/session/types.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import { encodeShardHeader } from '../../dist/wire/shard-header.js';
import { noise, ownTmpdir } from '../main-job/nets.js';

/** One node, several clients that know nothing of each other. */

const mebibyte = 1024 * 1024;

function ownAddress(): string {
  return `unix://${join(ownTmpdir(), 'n.sock')}`;
}

async function sharedNode(): Promise<RunningNode> {
  const node = await runNode({ listen: ownAddress() });
  onTestFinished(() => node.close());
  return node;
}

async function clientWith(node: RunningNode, content: Uint8Array): Promise<[Net, Data]> {
  const net = new Net().addNode(new Node(1, { address: node.address }));
  onTestFinished(() => net.close());
  const data = new Data(1, content);
  net.addData(data);
  await net.start();
  await net.transfer(data);
  return [net, data];
}

async function connectTo(node: RunningNode): Promise<Peer> {
  const { network } = selectEngine('auto');
  const peer = await connectPeer({ ...createRealEnv(), network }, node.address, { nodeId: 'test' });
  onTestFinished(() => peer.destroy());
  return peer;
}

async function stored(peer: Peer): Promise<{ shards: number; bytes: number }> {
  const { shards, bytes } = decodeNodeInfo(await peer.request('node.info'));
  return { shards, bytes };
}

/** Asks until the node holds nothing more. The end of a session comes to it in its own time. */
async function emptied(peer: Peer): Promise<boolean> {
  const endMs = performance.now() + 5_000;
  while ((await stored(peer)).bytes > 0) if (performance.now() > endMs) return false;
  return true;
}

function openPut(peer: Peer, index: number, content: Uint8Array): PeerStream {
  const header = encodeShardHeader({
    compressed: false,
    encrypted: false,
    last: false,
    checksumFollows: false,
    contentCrc32c: crc32c(content),
    dataVersion: 0n,
    fencingToken: 0n,
    shardIndex: index,
    shardCount: 0,
    offset: 0,
    totalBytes: 0,
    shardBytes: content.byteLength,
    dataId: 'd',
    sourceId: 'test',
  });
  return peer.openStream('shard.put', header);
}

test('two nets with the same data id have their own shards, also when one of them leaves', async () => {
  const node = await sharedNode();
  const [net, data] = await clientWith(node, new Uint8Array(100).fill(0xaa));
  const before = await net.process(data);
  const [otherNet, otherData] = await clientWith(node, new Uint8Array(100).fill(0xbb));
  expect((await net.process(data)).value).toEqual(before.value);
  expect((await otherNet.process(otherData)).value).not.toEqual(before.value);
  expect(await net.read(data)).toEqual(new Uint8Array(100).fill(0xaa));

  await otherNet.close();
  expect((await net.process(data)).value).toEqual(before.value);

  const peer = await connectTo(node);
  expect(await stored(peer)).toEqual({ shards: 1, bytes: 100 });
  await net.close();
  expect(await emptied(peer)).toBe(true);
});

test('the shards of a client that is killed are gone', async () => {
  const node = await sharedNode();
  const client: ChildProcess = fork(
    fileURLToPath(new URL('./storing-client.mjs', import.meta.url)),
    [node.address],
  );
  onTestFinished(() => void client.kill('SIGKILL'));
  await once(client, 'message');
  const peer = await connectTo(node);
  expect((await stored(peer)).bytes).toBe(mebibyte);
  client.kill('SIGKILL');
  expect(await emptied(peer)).toBe(true);
});

test('puts that send nothing do not take the room of others', async () => {
  const config: NodeConfig = {
    nodeId: 'n',
    listen: ownAddress(),
    workers: 1,
    storeBytesMax: 128 * mebibyte,
  };
  const node = await startNode(config);
  onTestFinished(() => node.close());
  const greedy = await connectTo(node);
  const large = new Uint8Array(64 * mebibyte);
  const idle = Array.from({ length: 16 }, (_, index) => openPut(greedy, index, large));
  const ends = idle.map(({ ended }) => ended.catch((error: unknown) => error));
  // An answer of the node after the streams: it has looked at all of them.
  await stored(greedy);

  const content = noise(mebibyte);
  const modest = await connectTo(node);
  const put = openPut(modest, 0, content);
  await put.write(content);
  put.end();
  await put.ended;
  expect(await stored(modest)).toEqual({ shards: 1, bytes: mebibyte });

  // Given up, waiting or not, they make way for those behind them.
  const behind = openPut(greedy, 16, content);
  for (const stream of idle.reverse()) stream.reset(new Error('no more'));
  await behind.write(content);
  behind.end();
  await behind.ended;
  for (const end of await Promise.all(ends)) expect(end).toBeInstanceOf(Error);
  expect(await stored(modest)).toEqual({ shards: 2, bytes: 2 * mebibyte });
});

test('a put that is given up right behind its end, and a drop behind it, leave nothing', async () => {
  const node = await sharedNode();
  const peer = await connectTo(node);
  const content = noise(10_000);
  const puts = Array.from({ length: 16 }, (_, index) => openPut(peer, index, content));
  await Promise.all(puts.map((put) => put.write(content)));
  // All in one turn, so that the node finds them in one batch.
  for (const put of puts) {
    put.end();
    put.reset(new Error('no more'));
  }
  await peer.request(dropMethod, encodeDropRequest({ dataId: 'd', version: 0n }));
  expect(await stored(peer)).toEqual({ shards: 0, bytes: 0 });
});
