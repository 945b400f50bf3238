import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { Data, type Digest } from '../../dist/index.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import { noise, startNet } from './nets.js';

/** From the bytes to the result, over nodes in three kinds. */

const table = csvTable(20_000);

function csvTable(rows: number): string {
  const values = noise(rows * 2);
  let text = 'key,value\n';
  for (let row = 0; row < rows; row++) {
    text += `k${(values[row * 2] ?? 0) % 17},${(values[row * 2 + 1] ?? 0) - 100}\n`;
  }
  return text;
}

/** The same as the handler `groupByKey`, by one thread over the whole. */
function reference(text: string): Record<string, unknown> {
  const groups: Record<string, { count: number; sum: number; min: number; max: number }> = {};
  for (const line of text.trimEnd().split('\n').slice(1)) {
    const [key = '', cell] = line.split(',');
    const value = Number(cell);
    const group = groups[key] ?? { count: 0, sum: 0, min: Infinity, max: -Infinity };
    groups[key] = {
      count: group.count + 1,
      sum: group.sum + value,
      min: Math.min(group.min, value),
      max: Math.max(group.max, value),
    };
  }
  return groups;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function checksumOf(bytes: Uint8Array): string {
  return crc32c(bytes).toString(16).padStart(8, '0');
}

describe.each(['process', 'thread', 'inline'] as const)('three nodes as %s', (runAs) => {
  test('a table is cut, transferred, processed and gathered as one thread does it', async () => {
    const { net, pids } = await startNet(3, { runAs });
    const data = new Data('table', Buffer.from(table), { shardBytes: 4_096, records: 'csv' });
    net.addData(data);

    const plan = await net.plan(data);
    const transfer = await net.transfer(data);
    const { value, perNode, report } = await net.process(data, 'groupByKey');

    expect(value).toEqual(reference(table));
    expect(perNode.map(({ nodeId }) => nodeId)).toEqual(['1', '2', '3']);
    expect(transfer.bytes).toBe(table.length);
    expect(
      transfer.perNode.map(({ nodeId, shards, bytes, weight }) => ({
        nodeId,
        shards,
        bytes,
        weight,
      })),
    ).toEqual(plan.perNode);
    expect(transfer.perNode.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
    expect(transfer.sumMs).toBeCloseTo(
      transfer.perNode.reduce((sum, { timeMs }) => sum + timeMs, 0),
      6,
    );
    expect(report).toMatchObject({
      dataId: 'table',
      handler: 'groupByKey',
      bytes: table.length,
      shards: plan.shards.length,
    });
    expect(report.perNode.every(({ timeMs }) => timeMs > 0)).toBe(true);
    expect(report.speedUp).toBeCloseTo(report.sumMs / report.wallMs, 9);
    expect(new Set(pids).size).toBe(runAs === 'process' ? 3 : 1);
  });

  test('every way of running gives the digest of the whole', async () => {
    const { net, nodes } = await startNet(3, { runAs });
    const bytes = noise(1_000_003);
    const data = new Data(7, bytes, { shardBytes: 10_000 });
    net.addData(data);

    const whole = { bytes: bytes.byteLength, shards: 101, checksum: checksumOf(bytes) };
    expect((await net.process(data)).value).toEqual(whole);
    expect(sameBytes(await net.read(data), bytes)).toBe(true);

    const perNode = await Promise.all(nodes.map((node) => node.process(data)));
    const digests = perNode.map(({ value }) => value as Digest); // The built-in handler's own value.
    expect(digests.reduce((sum, digest) => sum + digest.bytes, 0)).toBe(bytes.byteLength);
    expect((await net.process(data)).perNode.map(({ value }) => value)).toEqual(digests);

    const passing = new Data(
      8,
      Readable.from([bytes.subarray(0, 400_000), bytes.subarray(400_000)]),
      {
        shardBytes: 10_000,
      },
    );
    net.addData(passing);
    expect((await net.process(passing, 'digest', { keep: false })).value).toEqual(whole);
  });
});

describe('transfer', () => {
  test('to one node puts every shard there', async () => {
    const { net, nodes } = await startNet(2, { runAs: 'inline' });
    const data = new Data(1, 1_024, { shardBytes: 100 });
    net.addData(data);
    const [first, second] = nodes;
    const report = await net.transfer(data, first);
    expect(report.perNode).toMatchObject([{ nodeId: '1', shards: 11, bytes: 1_024, weight: 1 }]);
    expect((await first?.process(data, 'length'))?.value).toEqual([...Array(10).fill(100), 24]);
    await expect(second?.process(data)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_UNKNOWN_DATA',
      nodeId: '2',
    });
  });

  test('to a second node makes a copy; each shard is still processed once', async () => {
    const { net, nodes } = await startNet(2, { runAs: 'inline' });
    const data = new Data(1, noise(5_000), { shardBytes: 1_000 });
    net.addData(data);
    for (const node of nodes) await net.transfer(data, node);
    expect((await net.process(data, 'length')).value).toEqual([1000, 1000, 1000, 1000, 1000]);
    for (const node of nodes) expect((await node.process(data, 'length')).value).toHaveLength(5);
  });

  test('weights decide how much a node gets', async () => {
    const { net } = await startNet(2, { runAs: 'inline' }, (at) => ({ weight: at === 0 ? 3 : 1 }));
    const data = new Data(1, 400_000, { shardBytes: 1_000 });
    net.addData(data);
    const { perNode } = await net.transfer(data);
    expect(perNode[0]?.weight).toBeCloseTo(0.75, 1);
  });

  test('progress grows to the whole, and the event says the same', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const data = new Data(1, 10_000, { shardBytes: 1_000 });
    net.addData(data);
    const heard: number[] = [];
    const phases = new Set<string>();
    net.on('progress', ({ phase }) => phases.add(phase));
    await net.transfer(data, undefined, { onProgress: ({ bytes }) => heard.push(bytes) });
    await net.process(data, 'length', { onProgress: ({ bytes }) => heard.push(bytes) });
    expect(heard.slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, at) => (at + 1) * 1_000));
    expect(heard.at(-1)).toBe(10_000);
    expect([...phases]).toEqual(['transfer', 'process']);
  });

  test('a stream of unknown length is stored, and its end is known afterwards', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const bytes = noise(123_457);
    const data = new Data('s', Readable.from([bytes]), { shardBytes: 1_000 });
    net.addData(data);
    expect(data.sizeBytes).toBeUndefined();
    await net.transfer(data);
    expect(data.sizeBytes).toBe(bytes.byteLength);
    expect(sameBytes(await net.read(data), bytes)).toBe(true);
    await expect(net.transfer(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_SOURCE_CONSUMED' });
    expect(sameBytes(await net.read(data), bytes)).toBe(true);
  });

  test('shards of one byte, and of 64 MiB', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const small = new Data('small', noise(3_000), { shardBytes: 1 });
    const large = new Data('large', 70_000_000, { shardBytes: 64 * 1024 * 1024 });
    net.addData(small).addData(large);
    expect((await net.process(small, 'byteSum')).value).toBe(
      noise(3_000).reduce((sum, byte) => sum + byte, 0),
    );
    expect((await net.process(large, 'length')).value).toEqual([67_108_864, 2_891_136]);
  });
});

describe('process', () => {
  test('tells the handler what it works on', async () => {
    const { net } = await startNet(1, { runAs: 'inline' });
    const data = new Data('d', 3, { shardBytes: 2 });
    net.addData(data);
    const args = { deep: [1, 'two', null, new Uint8Array([3])] };
    const { value } = await net.process(data, 'context', { args });
    expect(value).toEqual(
      [0, 1].map((shardIndex) => ({ dataId: 'd', shardIndex, nodeId: '1', args, aborted: false })),
    );
  });

  test('waits for handlers that are asynchronous; nothing becomes null', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const data = new Data('d', new Uint8Array([5, 6, 7]), { shardBytes: 1 });
    net.addData(data);
    expect((await net.process(data, 'later')).value).toEqual([5, 6, 7]);
    expect((await net.process(data, 'givesNothing')).value).toEqual([null, null, null]);
  });

  test('values may be as large as the shards', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const bytes = noise(40 * 1024 * 1024);
    const data = new Data('d', bytes);
    net.addData(data);
    const { value } = await net.process(data, 'echo');
    expect(sameBytes(Buffer.concat(value as Uint8Array[]), bytes)).toBe(true); // What 'echo' returns.
  });

  test('keep: false leaves nothing on the nodes, also of data that lay there', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const data = new Data('d', 10_000, { shardBytes: 1_000 });
    net.addData(data);
    await net.transfer(data);
    const first = await net.process(data, 'digest', { keep: false });
    await expect(net.read(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_UNKNOWN_DATA' });
    const second = await net.process(data, 'digest', { keep: false });
    expect(second.value).toEqual(first.value);
  });

  test('keep: false on one node drops what lay there, and nothing elsewhere', async () => {
    const { net, nodes } = await startNet(2, { runAs: 'inline', placement: 'roundRobin' });
    const [first, second] = nodes;
    const data = new Data('d', noise(10_000), { shardBytes: 1_000 });
    net.addData(data);
    await net.transfer(data);
    expect((await first?.process(data, 'length', { keep: false }))?.value).toHaveLength(5);
    await expect(first?.process(data, 'length')).rejects.toMatchObject({
      code: 'PAIPAI_ERR_UNKNOWN_DATA',
    });
    expect((await second?.process(data, 'length'))?.value).toHaveLength(5);
    await expect(first?.process(data, 'length', { keep: false })).rejects.toMatchObject({
      code: 'PAIPAI_ERR_UNKNOWN_DATA',
    });
    expect((await second?.process(data, 'length'))?.value).toHaveLength(5);
    // What is left is not taken for the whole.
    const gone = { code: 'PAIPAI_ERR_NODE_LOST', shardIndexes: [0, 2, 4, 6, 8] };
    await expect(net.read(data)).rejects.toMatchObject(gone);
    await expect(net.process(data, 'length')).rejects.toMatchObject(gone);
    expect(await net.find(data)).toBe(undefined);
    await second?.process(data, 'length', { keep: false });
    await expect(net.read(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_UNKNOWN_DATA' });
  });

  test('keep: false on one node leaves copies on another one', async () => {
    const { net, nodes } = await startNet(2, { runAs: 'inline' });
    const bytes = noise(5_000);
    const data = new Data('d', bytes, { shardBytes: 1_000 });
    net.addData(data);
    for (const node of nodes) await net.transfer(data, node);
    await nodes[0]?.process(data, 'length', { keep: false });
    expect(sameBytes(await net.read(data), bytes)).toBe(true);
    expect((await net.process(data, 'length')).perNode).toMatchObject([{ nodeId: '2' }]);
  });

  test('keep: false waits for those that still work on the shards', async () => {
    const { net } = await startNet(1, { runAs: 'inline' });
    // More shards than the requests under way at once name: the later ones still need theirs.
    const data = new Data('d', Readable.from([noise(6_000)]), { shardBytes: 1 });
    net.addData(data);
    const [first, second, dropping] = await Promise.allSettled([
      net.process(data, 'byteSum'),
      net.process(data, 'later'),
      net.process(data, 'length', { keep: false }),
    ]);
    const summed = noise(6_000).reduce((sum, byte) => sum + byte, 0);
    expect(first).toMatchObject({ status: 'fulfilled', value: { value: summed } });
    expect(second).toMatchObject({ status: 'fulfilled', value: { value: [...noise(6_000)] } });
    expect(dropping).toMatchObject({ status: 'fulfilled', value: { report: { shards: 6_000 } } });
    await expect(net.read(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_UNKNOWN_DATA' });
  });

  test('of very many requests every value is merged exactly once', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const bytes = noise(10_000);
    const data = new Data('d', bytes, { shardBytes: 1 });
    net.addData(data);
    const { value, perNode, report } = await net.process(data, 'byteSum', { keep: false });
    expect(report.shards).toBe(10_000);
    expect(value).toBe(bytes.reduce((sum, byte) => sum + byte, 0));
    // The values of the nodes add up to that of the whole.
    expect(perNode.reduce((sum, node) => sum + Number(node.value), 0)).toBe(value);
  });

  test('calls at the same time on data that lie nowhere share one transfer', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const data = new Data('d', Readable.from([noise(10_000)]), { shardBytes: 1_000 });
    net.addData(data);
    const results = await Promise.all([net.process(data), net.process(data), net.process(data)]);
    expect(new Set(results.map(({ value }) => JSON.stringify(value))).size).toBe(1);
  });

  test('many calls at once wait for each other rather than for nothing', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    // Were each transfer to have its own window, these would be more streams than one session allows.
    const many = Array.from({ length: 60 }, (_, at) => new Data(at, 2_000, { shardBytes: 20 }));
    const results = await Promise.all(
      many.map(async (data) => {
        net.addData(data);
        await net.transfer(data);
        const [summed, back] = await Promise.all([net.process(data, 'byteSum'), net.read(data)]);
        return [summed.value, back.byteLength];
      }),
    );
    expect(results).toEqual(many.map(() => [0, 2_000]));
  });
});

test('the engine in use is said, with its reason', async () => {
  const { net } = await startNet(1, { engine: 'js' });
  expect(net.info()).toMatchObject({
    engine: 'js',
    reason: expect.stringContaining('option'),
    node: process.version,
    nodes: [{ id: '1', engine: 'js', path: 'unix', pid: expect.any(Number) }],
  });
});
