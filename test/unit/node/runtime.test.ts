import { describe, expect, onTestFinished, test } from 'vitest';
import { decodeConfirmation, encodeGetRequest } from '../../../dist/cluster/transfer/messages.js';
import { decodeNodeInfo } from '../../../dist/node/node-info.js';
import { createRealEnv } from '../../../dist/node/real-env.js';
import { type NodeConfig, startNode } from '../../../dist/node/runtime.js';
import { selectEngine } from '../../../dist/node/select-network.js';
import { encodeMergeRequest, encodeProcessRequest } from '../../../dist/processing/messages.js';
import { connectPeer } from '../../../dist/session/connect.js';
import type { Peer } from '../../../dist/session/types.js';
import { crc32c } from '../../../dist/wire/crc32c.js';
import { encodeShardHeader, type ShardHeader } from '../../../dist/wire/shard-header.js';
import { handlers, noise } from '../../main-job/nets.js';

/** A node, seen by a peer that need not be a well-behaved client. */

async function connectToNode(config: Partial<NodeConfig> = {}): Promise<Peer> {
  const node = await startNode({ nodeId: 'n', listen: 'tcp://127.0.0.1:0', workers: 1, ...config });
  onTestFinished(() => node.close());
  const { network } = selectEngine('auto');
  const peer = await connectPeer({ ...createRealEnv(), network }, node.address, { nodeId: 'test' });
  onTestFinished(() => peer.destroy());
  return peer;
}

function headerOf(content: Uint8Array, change: Partial<ShardHeader> = {}): ShardHeader {
  return {
    compressed: false,
    encrypted: false,
    last: true,
    checksumFollows: false,
    contentCrc32c: crc32c(content),
    dataVersion: 0n,
    fencingToken: 0n,
    shardIndex: 0,
    shardCount: 1,
    offset: 0,
    totalBytes: content.byteLength,
    shardBytes: content.byteLength,
    dataId: 'd',
    sourceId: 'test',
    ...change,
  };
}

async function put(peer: Peer, header: ShardHeader, content: Uint8Array): Promise<Uint8Array> {
  const stream = peer.openStream('shard.put', encodeShardHeader(header));
  stream.write(content).catch(() => {}); // The end says the same.
  stream.end();
  return stream.ended;
}

async function stored(peer: Peer): Promise<{ shards: number; bytes: number }> {
  const { shards, bytes } = decodeNodeInfo(await peer.request('node.info'));
  return { shards, bytes };
}

describe('a shard', () => {
  test('is confirmed, given back, replaced and dropped', async () => {
    const peer = await connectToNode();
    const content = noise(100_000);
    const confirmed = decodeConfirmation(await put(peer, headerOf(content), content));
    expect(confirmed).toEqual({ bytes: 100_000, crc32c: crc32c(content) });
    await put(peer, headerOf(content), content);
    expect(await stored(peer)).toEqual({ shards: 1, bytes: 100_000 });

    const stream = peer.openStream(
      'shard.get',
      encodeGetRequest({ dataId: 'd', version: 0n, index: 0 }),
    );
    const target = new Uint8Array(100_000);
    expect(await stream.receiveInto(target)).toMatchObject(confirmed);
    expect(Buffer.compare(target, content)).toBe(0);
  });

  test('whose bytes are not those of the header is refused, and leaves nothing', async () => {
    const peer = await connectToNode();
    const content = noise(1_000);
    const wrong = headerOf(content, { contentCrc32c: crc32c(content) ^ 1 });
    await expect(put(peer, wrong, content)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_SHARD_CHECKSUM',
    });
    await expect(put(peer, headerOf(content), content.subarray(1))).rejects.toMatchObject({
      code: 'PAIPAI_ERR_SHARD_INCOMPLETE',
    });
    expect(await stored(peer)).toEqual({ shards: 0, bytes: 0 });
  });

  test('with a header that is none is refused', async () => {
    const peer = await connectToNode();
    const stream = peer.openStream('shard.put', new Uint8Array(64));
    await expect(stream.ended).rejects.toMatchObject({ code: 'PAIPAI_ERR_SHARD_HEADER' });
  });

  test('that is given up half-way leaves nothing', async () => {
    const peer = await connectToNode();
    const content = noise(1_000);
    const stream = peer.openStream('shard.put', encodeShardHeader(headerOf(content)));
    await stream.write(content.subarray(0, 500));
    stream.reset(new Error('no more'));
    await expect(stream.ended).rejects.toThrow();
    expect(await stored(peer)).toEqual({ shards: 0, bytes: 0 });
  });

  test('for which there is no room is refused; the others stay', async () => {
    const peer = await connectToNode({ storeBytesMax: 2 * 1024 * 1024 });
    const content = noise(1024 * 1024);
    await put(peer, headerOf(content), content);
    const large = noise(3 * 1024 * 1024);
    await expect(put(peer, headerOf(large, { dataId: 'large' }), large)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_STORE_FULL',
    });
    expect(await stored(peer)).toEqual({ shards: 1, bytes: 1024 * 1024 });
  });

  test('that is not there cannot be had', async () => {
    const peer = await connectToNode();
    const stream = peer.openStream(
      'shard.get',
      encodeGetRequest({ dataId: 'd', version: 0n, index: 0 }),
    );
    await expect(stream.ended).rejects.toMatchObject({ code: 'PAIPAI_ERR_UNKNOWN_DATA' });
  });
});

describe('processing', () => {
  const request = {
    dataId: 'd',
    version: 0n,
    nodeId: 'n',
    handler: 'length',
    args: undefined,
    shards: [0],
    drop: false,
    mapVersion: 0,
    limit: undefined,
    deadlineMs: Infinity,
  };

  test('of a shard that is not there is refused, before a handler runs', async () => {
    const peer = await connectToNode({ handlers: handlers.href });
    const stream = peer.openStream('data.process', encodeProcessRequest(request));
    await expect(stream.ended).rejects.toMatchObject({ code: 'PAIPAI_ERR_UNKNOWN_DATA' });
  });

  test('the node keeps the deadline of the request by itself', async () => {
    const peer = await connectToNode({ handlers: handlers.href });
    await put(peer, headerOf(new Uint8Array(4)), new Uint8Array(4));
    const endless = { ...request, handler: 'endless', deadlineMs: 200 };
    const stream = peer.openStream('data.process', encodeProcessRequest(endless));
    await expect(stream.ended).rejects.toMatchObject({
      code: 'PAIPAI_ERR_DEADLINE',
      message: expect.stringContaining('endless'),
    });
  });

  test('merging nothing, or what is no value, is refused', async () => {
    const peer = await connectToNode({ handlers: handlers.href });
    const merge = (handler: string) =>
      peer.openStream('data.merge', encodeMergeRequest({ handler, deadlineMs: Infinity }));
    const empty = merge('byteSum');
    empty.end();
    await expect(empty.ended).rejects.toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
    const short = merge('byteSum');
    await short.write(new Uint8Array([9, 0, 0, 0, 1]));
    short.end();
    await expect(short.ended).rejects.toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
  });

  test('methods that are not served are refused', async () => {
    const peer = await connectToNode();
    await expect(peer.request('data.steal')).rejects.toMatchObject({
      code: 'PAIPAI_ERR_METHOD_UNKNOWN',
    });
    await expect(peer.openStream('data.steal').ended).rejects.toMatchObject({
      code: 'PAIPAI_ERR_METHOD_UNKNOWN',
    });
    await expect(peer.request('data.drop', new Uint8Array(3))).rejects.toMatchObject({
      code: 'PAIPAI_ERR_VALUE',
    });
  });
});
