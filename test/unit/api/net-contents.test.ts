import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Data, Net, Node, type Progress } from '../../../dist/index.js';
import type { RunningNode } from '../../../dist/node/runtime.js';
import { runNode } from '../../../dist/node/serve.js';
import { handlers, noise, startNet } from '../../main-job/nets.js';
import { makeFolder } from '../../support/folders.js';
import { codeOf, codeThrown, event } from '../../support/session-pair.js';

/** Data on disk, from the side of a client that did not put them there. */

interface Cluster {
  readonly nodes: readonly RunningNode[];
  /** A started net of its own, of all the nodes. */
  client(): Promise<Net>;
}

async function startCluster(nodeCount: number): Promise<Cluster> {
  const folder = makeFolder();
  const nodes: RunningNode[] = [];
  for (let at = 0; at < nodeCount; at++) {
    const [first] = nodes;
    const node = await runNode({
      listen: 'tcp://127.0.0.1:0',
      nodeId: `n${at}`,
      handlers,
      store: { files: join(folder, String(at)) },
      ...(first === undefined ? {} : { join: [first.address] }),
    });
    onTestFinished(() => node.close());
    nodes.push(node);
  }
  return {
    nodes,
    async client() {
      const net = new Net({ join: [nodes[0]?.address ?? ''], placement: 'weighted' });
      onTestFinished(() => net.close());
      await net.start();
      return net;
    },
  };
}

async function put(net: Net, data: Data): Promise<void> {
  net.addData(data);
  await net.transfer(data);
}

const content = noise(10_000);
const cut = { shardBytes: 1_000 };

describe('what another client has left on disk', () => {
  test('is listed, found, read, processed and dropped by its id alone', async () => {
    const { client } = await startCluster(2);
    const writer = await client();
    await put(writer, new Data('d', content, { ...cut, replicas: 2 }));
    await put(writer, new Data('c', content.subarray(0, 500), { version: 3 }));
    await writer.close();

    const net = await client();
    const contents = await net.contents();
    expect(contents.map(({ dataId, version }) => [dataId, version])).toEqual([
      ['c', 3n],
      ['d', 0n],
    ]);
    expect(contents[1]?.perNode).toEqual([
      { nodeId: 'n0', shards: 10, bytes: 10_000 },
      { nodeId: 'n1', shards: 10, bytes: 10_000 },
    ]);

    expect(await net.contents({ dataId: 'd' })).toEqual(contents.slice(1));
    expect(await net.contents({ dataId: 7 })).toEqual([]);

    const data = Data.stored('d', { replicas: 2 });
    const held = await net.shardsOf(data);
    expect(held).toMatchObject({ dataId: 'd', version: 0n, isWhole: true });
    expect(held.shards.map(({ index, offset, bytes }) => [index, offset, bytes])).toEqual(
      Array.from({ length: 10 }, (_, at) => [at, at * 1_000, 1_000]),
    );
    expect(new Set(held.shards.map(({ nodeIds }) => nodeIds.join()))).toEqual(new Set(['n0,n1']));

    net.addData(data);
    expect(await net.find(data)).toMatchObject({ bytes: 10_000, shards: 10 });
    expect(await net.read(data)).toEqual(content);
    expect(net.explain(data).shards.every(({ missing }) => missing === 0)).toBe(true);
    const { value } = await net.process(data, 'byteSum');
    expect(value).toBe(content.reduce((sum, byte) => sum + byte, 0));

    await net.drop(data);
    expect((await net.contents()).map(({ dataId }) => dataId)).toEqual(['c']);
    expect(await net.shardsOf(data)).toMatchObject({ isWhole: false, shards: [] });
    expect(await codeOf(net.read(data))).toBe('PAIPAI_ERR_UNKNOWN_DATA');
  });

  test('that is not whole, since a node is gone, is said so', async () => {
    const { client, nodes } = await startCluster(2);
    const writer = await client();
    await put(writer, new Data('d', content, cut));
    await writer.close();
    await nodes[1]?.close();

    const net = await client();
    const data = Data.stored('d');
    const held = await net.shardsOf(data);
    expect(held.isWhole).toBe(false);
    expect(held.shards).toHaveLength(5);
    net.addData(data);
    expect(await net.find(data)).toBe(undefined);
    for (const call of [
      () => net.read(data),
      () => net.transfer(data),
      () => net.process(data),
      () => net.process(data, 'digest', { keep: false }),
      () => net.plan(data),
    ]) {
      expect(await codeOf(call())).toBe('PAIPAI_ERR_UNKNOWN_DATA');
    }
    expect(await net.shardsOf(data)).toEqual(held);

    // What passes through takes the place of a part; for two replicas there is a node too few.
    const other = await client();
    const passing = new Data('d', content, { ...cut, replicas: 2 });
    other.addData(passing);
    const { value } = await other.process(passing, 'byteSum', { keep: false });
    expect(value).toBe(content.reduce((sum, byte) => sum + byte, 0));
    expect((await net.shardsOf(data)).shards).toEqual([]);
  });

  /** Data 'd' of which four shards are confirmed when its source fails. */
  function breaking(bytes: Uint8Array): { data: Data; onProgress: (progress: Progress) => void } {
    const confirmed = event();
    const source = async function* () {
      yield bytes.subarray(0, 4_500);
      await confirmed.promise;
      throw new Error('the disk is gone');
    };
    return {
      data: new Data('d', source(), { ...cut, replicas: 2 }),
      onProgress({ shards }) {
        if (shards === 4) confirmed.fire();
      },
    };
  }

  test('is there still when bringing the same data again has failed', async () => {
    const { client } = await startCluster(2);
    const writer = await client();
    await put(writer, new Data('d', content, { ...cut, replicas: 2 }));
    const before = await writer.shardsOf(Data.stored('d'));
    await writer.close();

    for (const isProcessed of [false, true]) {
      const net = await client();
      const { data, onProgress } = breaking(content);
      net.addData(data);
      net.on('progress', onProgress);
      const call = isProcessed ? net.process(data, 'digest', { keep: false }) : net.transfer(data);
      expect(await codeOf(call)).toBe('PAIPAI_ERR_SOURCE_FAILED');
      expect(await net.shardsOf(data)).toEqual(before);
      await net.close();
    }
  });

  test('is not mixed with other content whose transfer has failed', async () => {
    const { client } = await startCluster(2);
    const writer = await client();
    await put(writer, new Data('d', content, { ...cut, replicas: 2 }));
    await writer.close();

    const net = await client();
    const { data, onProgress } = breaking(noise(10_000, 2));
    net.addData(data);
    expect(await codeOf(net.transfer(data, undefined, { onProgress }))).toBe(
      'PAIPAI_ERR_SOURCE_FAILED',
    );
    const { isWhole, shards } = await net.shardsOf(data);
    expect(isWhole).toBe(false);
    expect(shards.map(({ index }) => index)).toEqual([4, 5, 6, 7, 8, 9]);
  });

  test('of which nodes hold different content is listed with both', async () => {
    const { nodes, client } = await startCluster(2);
    for (const [at, { nodeId, address }] of nodes.entries()) {
      const single = new Net().addNode(new Node(nodeId, { address }));
      onTestFinished(() => single.close());
      await single.start();
      await put(single, new Data('d', new Uint8Array([at])));
      await single.close();
    }
    const net = await client();
    const { isWhole, shards } = await net.shardsOf(Data.stored('d'));
    expect(isWhole).toBe(false);
    expect(shards.map(({ index, nodeIds }) => [index, ...nodeIds])).toEqual([
      [0, 'n0'],
      [0, 'n1'],
    ]);
  });
});

describe('readEach', () => {
  test('gives the shards in order, each when the one before is done with', async () => {
    const { net } = await startNet(2);
    const data = new Data('d', content, cut);
    await put(net, data);
    let at = 0;
    let busy = 0;
    const whole = new Uint8Array(content.byteLength);
    await net.readEach(data, async (bytes, offset) => {
      expect([busy++, offset]).toEqual([0, at]);
      await new Promise(setImmediate);
      whole.set(bytes, offset);
      at += bytes.byteLength;
      busy--;
    });
    expect(whole).toEqual(content);
  });

  test('ends with what its taker fails with', async () => {
    const { net } = await startNet(2);
    const data = new Data('d', content, cut);
    await put(net, data);
    let taken = 0;
    const reading = net.readEach(data, () => {
      if (++taken === 3) throw new RangeError('no more');
    });
    await expect(reading).rejects.toThrow('no more');
    expect(taken).toBe(3);
    expect(await net.read(data)).toEqual(content);
  });

  test('ends when it is aborted, also while its taker takes no more', async () => {
    const { net } = await startNet(1);
    const data = new Data('d', content, cut);
    await put(net, data);
    const abort = new AbortController();
    const reading = net.readEach(
      data,
      () => {
        abort.abort();
        return new Promise(() => {});
      },
      { signal: abort.signal },
    );
    expect(await codeOf(reading)).toBe('PAIPAI_ERR_ABORTED');
  });
});

test('contents of nodes with stores in memory are what this net has put there', async () => {
  const { net } = await startNet(1);
  const data = new Data('d', content, cut);
  await put(net, data);
  const held = { dataId: 'd', version: 0n, perNode: [{ nodeId: '1', shards: 10, bytes: 10_000 }] };
  expect(await net.contents()).toEqual([held]);
  await net.drop(data);
  expect(await net.contents()).toEqual([]);
  await net.transfer(data);
  expect(await net.read(data)).toEqual(content);
});

test('a plan ends when it is aborted, and at its deadline', async () => {
  const { net } = await startNet(1);
  const file = join(makeFolder(), 'lines');
  writeFileSync(file, Buffer.alloc(8 * 1024 * 1024, 'a line of text\n'));
  const data = Data.fromFile('d', file, { shardBytes: 16, records: 'lines' });
  net.addData(data);
  expect(await codeOf(net.plan(data, { signal: AbortSignal.abort() }))).toBe('PAIPAI_ERR_ABORTED');
  expect(await codeOf(net.plan(data, { deadlineMs: 1 }))).toBe('PAIPAI_ERR_DEADLINE');
  const wrong = { deadline: 1 } as unknown as { deadlineMs: number };
  expect(await codeOf(net.plan(data, wrong))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
});

test('bad input', async () => {
  const { net } = await startNet(1);
  expect(codeThrown(() => Data.stored(''))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  expect(await codeOf(Data.stored('d').sha256())).toBe('PAIPAI_ERR_UNKNOWN_DATA');
  // Wrong on purpose, where the types would not let it through.
  const nothing = undefined as unknown as Data;
  expect(await codeOf(net.shardsOf(nothing))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  expect(await codeOf(net.drop(Data.stored('d')))).toBe('PAIPAI_ERR_UNKNOWN_DATA');
  const data = new Data('d', content);
  net.addData(data);
  const take = 'take' as unknown as () => void;
  expect(await codeOf(net.readEach(data, take))).toBe('PAIPAI_ERR_INVALID_ARGUMENT');
  expect(await codeOf(new Net().contents())).toBe('PAIPAI_ERR_NOT_STARTED');
});
