import { describe, expect, onTestFinished, test } from 'vitest';
import { createRealEnv } from '../../../../dist/node/real-env.js';
import { startNode } from '../../../../dist/node/runtime.js';
import { selectEngine } from '../../../../dist/node/select-network.js';
import {
  encodeCloseRequest,
  encodeMapRequest,
  encodeOpenRequest,
  encodePartitionRequest,
  encodeSealRequest,
} from '../../../../dist/processing/map-reduce/messages.js';
import { connectPeer } from '../../../../dist/session/connect.js';
import type { Peer } from '../../../../dist/session/types.js';
import { openDescriptors, reached } from '../../../main-job/nets.js';

/** A node's jobs, seen by a peer that need not be a well-behaved client. */

const handlers = new URL('../../../main-job/map-reduce-handlers.mjs', import.meta.url).href;

async function connectToNode(): Promise<Peer> {
  const node = await startNode({ nodeId: 'n', listen: 'tcp://127.0.0.1:0', workers: 1, handlers });
  onTestFinished(() => node.close());
  const { network } = selectEngine('auto');
  const peer = await connectPeer({ ...createRealEnv(), network }, node.address, { nodeId: 'test' });
  onTestFinished(() => peer.destroy());
  return peer;
}

function openJob(peer: Peer, jobId: string): Promise<Uint8Array> {
  return peer.request(
    'mapReduce.open',
    encodeOpenRequest({
      jobId,
      dataId: 'd',
      version: 0n,
      nodeId: 'n',
      map: 'words',
      combine: undefined,
      reduce: 'sum',
      args: undefined,
      memoryBytes: 1024 * 1024,
    }),
  );
}

function streamOf(peer: Peer, method: string, jobId: string): Promise<Uint8Array> {
  const stream = peer.openStream(method, encodePartitionRequest({ jobId, partition: 0 }));
  stream.end();
  return stream.ended;
}

describe('a job on a node', () => {
  test('is there from its opening to its close, and for its client alone', async () => {
    const peer = await connectToNode();
    const gone = { code: 'PAIPAI_ERR_INVALID_STATE' };
    await expect(streamOf(peer, 'mapReduce.fetch', 'j')).rejects.toMatchObject(gone);
    await openJob(peer, 'j');
    expect(await streamOf(peer, 'mapReduce.fetch', 'j')).toHaveLength(0);
    await expect(openJob(peer, 'j')).rejects.toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
    await peer.request('mapReduce.close', encodeCloseRequest('j'));
    await peer.request('mapReduce.close', encodeCloseRequest('j'));
    await expect(streamOf(peer, 'mapReduce.reduce', 'j')).rejects.toMatchObject(gone);
    const seal = encodeSealRequest({ jobId: 'j', tasks: [] });
    await expect(peer.request('mapReduce.seal', seal)).rejects.toMatchObject(gone);
  });

  test('maps no shard that is not there, and has no output of it that could count', async () => {
    const peer = await connectToNode();
    await openJob(peer, 'j');
    const map = encodeMapRequest({ jobId: 'j', taskId: 1, partitions: 1, shards: [0] });
    await expect(peer.request('mapReduce.map', map)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_UNKNOWN_DATA',
      shardIndex: 0,
    });
    const seal = encodeSealRequest({ jobId: 'j', tasks: [1] });
    await expect(peer.request('mapReduce.seal', seal)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_INVALID_STATE',
    });
  });

  test('refuses entries that are none, and goes on', async () => {
    const peer = await connectToNode();
    await openJob(peer, 'j');
    const request = encodePartitionRequest({ jobId: 'j', partition: 0 });
    const stream = peer.openStream('mapReduce.reduce', request);
    await stream.write(new Uint8Array(100).fill(0xff));
    stream.end();
    await expect(stream.ended).rejects.toMatchObject({ code: 'PAIPAI_ERR_PROTOCOL' });
    await expect(streamOf(peer, 'mapReduce.reduce', 'j')).resolves.toBeInstanceOf(Uint8Array);
  });

  test('ends with its client, which need not say a word', async () => {
    const peer = await connectToNode();
    const before = openDescriptors();
    for (let at = 0; at < 64; at++) await openJob(peer, String(at));
    await expect(openJob(peer, 'one more')).rejects.toMatchObject({
      code: 'PAIPAI_ERR_OVERLOADED',
    });
    expect(openDescriptors()).toBe(before + 64);
    peer.destroy();
    expect(await reached(2_000, () => openDescriptors() <= before)).toBe(true);
  });
});
