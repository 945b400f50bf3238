import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  Data,
  type DataOptions,
  Net,
  type NetOptions,
  Node,
  type PaipaiError,
} from '../../dist/index.js';
import { crc32c } from '../../dist/wire/crc32c.js';
import { noise, startNet } from '../main-job/nets.js';
import { makeFolder } from '../support/folders.js';
import { NodeProcess } from '../support/node-process.mjs';

/** Data with several copies of each shard, while nodes are killed, come back, and lose what they had. */

const shardBytes = 16 * 1024;
const content = noise(4_000_001, 3);
const shardCount = Math.ceil(content.length / shardBytes);

function replicated(id: string, replicas: number, more: DataOptions = {}): Data {
  return new Data(id, content, { shardBytes, replicas, ...more });
}

function nodeLost(net: Net): Promise<unknown> {
  return new Promise((resolve) => net.once('nodeLost', resolve));
}

function nodeBack(net: Net): Promise<unknown> {
  return new Promise((resolve) => net.once('nodeBack', resolve));
}

async function killAt(net: Net, pid: number | undefined): Promise<void> {
  const lost = nodeLost(net);
  process.kill(pid ?? 0, 'SIGKILL');
  await lost;
}

function missingIn(net: Net, data: Data): number {
  return net.explain(data).shards.reduce((sum, { missing }) => sum + missing, 0);
}

async function expectWhole(net: Net, data: Data): Promise<void> {
  expect(Buffer.compare(await net.read(data), content)).toBe(0);
}

const wholeDigest = {
  bytes: content.length,
  shards: shardCount,
  checksum: crc32c(content).toString(16).padStart(8, '0'),
};

describe('copies', () => {
  test('lie on different nodes, as the plan says, and each shard is processed once', async () => {
    const { net } = await startNet(4, { runAs: 'inline' });
    const data = replicated('d', 3);
    net.addData(data);
    const plan = await net.plan(data);
    for (const { nodeIds } of plan.shards) expect(new Set(nodeIds).size).toBe(3);
    const report = await net.transfer(data);
    expect(report).toMatchObject({ bytes: content.length, shards: shardCount });
    expect(report.perNode.map(({ nodeId, bytes }) => [nodeId, bytes])).toEqual(
      plan.perNode.map(({ nodeId, bytes }) => [nodeId, bytes]),
    );
    expect(report.perNode.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(3 * content.length);
    expect(report.perNode.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 9);
    const { shards } = net.explain(data);
    for (const [at, { nodeIds, belongsTo, missing }] of shards.entries()) {
      expect([...nodeIds].sort()).toEqual([...(plan.shards[at]?.nodeIds ?? [])].sort());
      expect(belongsTo).toEqual(plan.shards[at]?.nodeIds);
      expect(missing).toBe(0);
    }
    const { value, report: processed } = await net.process(data);
    expect(value).toEqual(wholeDigest);
    expect(processed.perNode.length).toBe(4);
    await expectWhole(net, data);
  });

  test.each(['boundedRendezvous', 'rendezvous', 'roundRobin'] as const)(
    'are placed by %s as well',
    async (placement) => {
      const { net } = await startNet(3, { runAs: 'inline', placement });
      const data = replicated('d', 2);
      net.addData(data);
      await net.transfer(data);
      for (const { nodeIds } of net.explain(data).shards) expect(new Set(nodeIds).size).toBe(2);
      expect((await net.process(data)).value).toEqual(wholeDigest);
    },
  );

  test('cannot be more than there are nodes', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const data = replicated('d', 3);
    net.addData(data);
    await expect(net.transfer(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST' });
    await expect(net.plan(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST' });
  });

  test.each([
    ['replicas', 0],
    ['replicas', 17],
    ['replicas', 1.5],
  ])('%s of %s are refused', (_name, replicas) => {
    expect(() => replicated('d', replicas)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
    );
  });

  test('cannot be confirmed more often than there are replicas', async () => {
    const { net } = await startNet(2, { runAs: 'inline' });
    const data = replicated('d', 2);
    net.addData(data);
    await expect(net.transfer(data, undefined, { confirm: 3 })).rejects.toMatchObject({
      code: 'PAIPAI_ERR_INVALID_ARGUMENT',
    });
  });
});

describe('a node is killed', () => {
  test('in the middle of a transfer: others take its copies over, and those it had are made anew', async () => {
    const { net, pids } = await startNet(4);
    const data = replicated('d', 2);
    net.addData(data);
    const bytesOn2 = ({ perNode }: { perNode: readonly { nodeId: string; bytes: number }[] }) =>
      perNode.find(({ nodeId }) => nodeId === '2')?.bytes ?? 0;
    const plan = await net.plan(data);
    let isKilled = false;
    const report = await net.transfer(data, undefined, {
      onProgress: ({ shards }) => {
        if (shards >= 20 && !isKilled) isKilled = process.kill(pids[1] ?? 0, 'SIGKILL');
      },
    });
    expect(bytesOn2(report)).toBeLessThan(bytesOn2(plan));
    expect(missingIn(net, data)).toBe(0);
    await expectWhole(net, data);
    expect((await net.process(data)).value).toEqual(wholeDigest);
  });

  test('in a transfer that needs every node: it fails, and leaves nothing', async () => {
    const { net, pids } = await startNet(3);
    const data = replicated('d', 3);
    net.addData(data);
    let isKilled = false;
    const transfer = net.transfer(data, undefined, {
      onProgress: ({ shards }) => {
        if (shards >= 20 && !isKilled) isKilled = process.kill(pids[1] ?? 0, 'SIGKILL');
      },
    });
    await expect(transfer).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST' });
    await expect(net.read(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_UNKNOWN_DATA' });
  });

  test('in a transfer that is content with two copies of three: it goes on', async () => {
    const { net, pids } = await startNet(3);
    const data = replicated('d', 3);
    net.addData(data);
    let isKilled = false;
    await net.transfer(data, undefined, {
      confirm: 2,
      onProgress: ({ shards }) => {
        if (shards >= 20 && !isKilled) isKilled = process.kill(pids[1] ?? 0, 'SIGKILL');
      },
    });
    const { shards } = net.explain(data);
    expect(shards.every(({ nodeIds }) => nodeIds.length === 2)).toBe(true);
    expect(shards.every(({ missing }) => missing === 1)).toBe(true);
    await expectWhole(net, data);
  });

  test('after a transfer: what it had is read elsewhere, and repaired, so that the next loss costs nothing', async () => {
    const { net, pids } = await startNet(4);
    const data = replicated('d', 2);
    net.addData(data);
    await net.transfer(data);
    await killAt(net, pids[0]);
    await expectWhole(net, data);
    expect((await net.process(data)).value).toEqual(wholeDigest);
    const missing = missingIn(net, data);
    expect(missing).toBeGreaterThan(0);
    const report = await net.repair(data);
    expect(report).toMatchObject({ dataId: 'd', copies: missing, shardsShort: 0 });
    expect(missingIn(net, data)).toBe(0);
    await killAt(net, pids[1]);
    await expectWhole(net, data);
    await net.repair(data);
    await killAt(net, pids[2]);
    await expectWhole(net, data);
    // One node is left: there is nobody to copy to.
    expect((await net.repair(data)).shardsShort).toBe(shardCount);
  });

  test('while its handlers run: other holders process its shards, each once', async () => {
    const { net, pids } = await startNet(3);
    const small = { shardBytes: 1_024 };
    const data = new Data('d', content, { ...small, replicas: 2 });
    net.addData(data);
    await net.transfer(data);
    let isKilled = false;
    const { value, report } = await net.process(data, 'byteSumElsewhere', {
      onProgress: () => {
        if (!isKilled) isKilled = process.kill(pids[2] ?? 0, 'SIGKILL');
      },
    });
    expect(value).toBe(content.reduce((sum, byte) => sum + byte, 0));
    const shards = Math.ceil(content.length / 1_024);
    expect(report).toMatchObject({ bytes: content.length, shards });
    expect(report.perNode.map(({ nodeId }) => nodeId)).toEqual(['1', '2']);
  });

  test('with all copies of some shards: the error names them', async () => {
    const { net, pids } = await startNet(4);
    const data = replicated('d', 2);
    net.addData(data);
    await net.transfer(data);
    await killAt(net, pids[0]);
    await killAt(net, pids[1]);
    const lost = net
      .explain(data)
      .shards.filter(({ nodeIds }) => nodeIds.length === 0)
      .map(({ index }) => index);
    expect(lost.length).toBeGreaterThan(0);
    const expected = { code: 'PAIPAI_ERR_NODE_LOST', dataId: 'd', shardIndexes: lost };
    await expect(net.read(data)).rejects.toMatchObject(expected);
    await expect(net.process(data)).rejects.toMatchObject(expected);
    await expect(net.repair(data)).rejects.toMatchObject(expected);
    // What has a copy left has two now.
    expect(missingIn(net, data)).toBe(2 * lost.length);
  });
});

async function remoteNet(
  count: number,
  optionsOf: (index: number) => readonly string[],
  options: NetOptions = {},
): Promise<{ net: Net; processes: NodeProcess[] }> {
  const processes = await Promise.all(
    Array.from({ length: count }, (_, index) => NodeProcess.start(optionsOf(index))),
  );
  const net = new Net(options);
  onTestFinished(async () => {
    await net.close();
    await Promise.all(processes.map((node) => node.kill()));
  });
  for (const [index, { address }] of processes.entries()) {
    net.addNode(new Node(index + 1, { address }));
  }
  return { net, processes };
}

async function killRemote(net: Net, node: NodeProcess | undefined): Promise<void> {
  const lost = nodeLost(net);
  await node?.kill();
  await lost;
}

/** Resolves with the node that the net says is back. */
async function restart(net: Net, node: NodeProcess | undefined): Promise<unknown> {
  const back = nodeBack(net);
  await node?.start();
  return back;
}

describe('a remote node comes back', () => {
  test('with what it has on disk, which counts again', async () => {
    const folder = makeFolder();
    const storeOf = (index: number) => ['--store', `lmdb:${join(folder, String(index))}`];
    const { net, processes } = await remoteNet(3, storeOf);
    await net.start();
    const data = replicated('d', 2);
    net.addData(data);
    await net.transfer(data);
    await killRemote(net, processes[0]);
    expect(missingIn(net, data)).toBeGreaterThan(0);
    expect(await restart(net, processes[0])).toMatchObject({ id: '1' });
    expect(missingIn(net, data)).toBe(0);
    await expectWhole(net, data);
  });

  test('with nothing, when it kept it in memory', async () => {
    const { net, processes } = await remoteNet(3, () => []);
    await net.start();
    const data = replicated('d', 2);
    net.addData(data);
    await net.transfer(data);
    await killRemote(net, processes[0]);
    await restart(net, processes[0]);
    const missing = missingIn(net, data);
    expect(missing).toBeGreaterThan(0);
    expect((await net.repair(data)).copies).toBe(missing);
    expect(missingIn(net, data)).toBe(0);
    await expectWhole(net, data);
  });

  test('with nothing, when it had the only copy: what is gone is told, and can be brought again', async () => {
    const { net, processes } = await remoteNet(2, () => []);
    await net.start();
    const data = replicated('d', 1);
    net.addData(data);
    await net.transfer(data);
    const gone = net
      .explain(data)
      .shards.filter(({ nodeIds }) => nodeIds[0] === '1')
      .map(({ index }) => index);
    await killRemote(net, processes[0]);
    await restart(net, processes[0]);
    const expected = { code: 'PAIPAI_ERR_NODE_LOST', shardIndexes: gone };
    await expect(net.read(data)).rejects.toMatchObject(expected);
    await expect(net.process(data)).rejects.toMatchObject(expected);
    await net.transfer(data);
    await expectWhole(net, data);
  });

  test('in the middle of a transfer that waits for it', async () => {
    const folder = makeFolder();
    const storeOf = (index: number) => ['--store', `files:${join(folder, String(index))}`];
    const { net, processes } = await remoteNet(2, storeOf, { reconnectMs: 25_000 });
    await net.start();
    const data = replicated('d', 1);
    net.addData(data);
    let restarting: Promise<void> | undefined;
    const report = await net.transfer(data, undefined, {
      onProgress: ({ shards }) => {
        if (shards < 20 || restarting !== undefined) return;
        restarting = (async () => {
          await processes[0]?.kill();
          await processes[0]?.start();
        })();
      },
    });
    expect(report).toMatchObject({ bytes: content.length, shards: shardCount });
    await expectWhole(net, data);
  });

  test('in time for the next transfer', async () => {
    const { net, processes } = await remoteNet(2, () => []);
    await net.start();
    const data = replicated('d', 2);
    net.addData(data);
    await killRemote(net, processes[1]);
    await expect(net.transfer(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_NODE_LOST' });
    await restart(net, processes[1]);
    await net.transfer(data);
    expect(missingIn(net, data)).toBe(0);
  });

  test('or never: the net can be closed all the same', async () => {
    const { net, processes } = await remoteNet(2, () => []);
    await net.start();
    await killRemote(net, processes[1]);
    await net.close();
  });
});

describe('data that lie on disk from an earlier time', () => {
  test('are found by another net, read and processed without a transfer', async () => {
    const folder = makeFolder();
    const storeOf = (index: number) => ({ store: { lmdb: join(folder, String(index)) } });
    const first = await startNet(3, { runAs: 'inline' }, storeOf);
    const data = replicated('d', 2);
    first.net.addData(data);
    await first.net.transfer(data);
    await first.net.close();

    const { net } = await startNet(3, { runAs: 'inline' }, storeOf);
    const again = replicated('d', 2);
    net.addData(again);
    expect(await net.find(again)).toEqual({
      dataId: 'd',
      bytes: content.length,
      shards: shardCount,
      nodeIds: expect.arrayContaining(['1', '2', '3']),
    });
    expect(missingIn(net, again)).toBe(0);
    const { value, transfer } = await net.process(again);
    expect(value).toEqual(wholeDigest);
    expect(transfer).toBe(undefined);

    const otherVersion = replicated('d', 2, { version: 1 });
    const other = await startNet(1, { runAs: 'inline' });
    other.net.addData(otherVersion);
    expect(await other.net.find(otherVersion)).toBe(undefined);
  });

  test('are not taken for the whole when some of them are missing', async () => {
    const folder = makeFolder();
    const storeOf = (index: number) => ({ store: { files: join(folder, String(index)) } });
    const first = await startNet(3, { runAs: 'inline' }, storeOf);
    const data = replicated('d', 1);
    first.net.addData(data);
    await first.net.transfer(data);
    await first.net.close();

    const { net } = await startNet(2, { runAs: 'inline' }, storeOf);
    const again = replicated('d', 1);
    net.addData(again);
    expect(await net.find(again)).toBe(undefined);
    await expect(net.read(again)).rejects.toMatchObject({ code: 'PAIPAI_ERR_UNKNOWN_DATA' });
  });
});

/** All files below a folder that hold content of shards. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).size > 1_024);
}

/** Changes one bit of the content in a file of a shard. */
function harm(path: string): void {
  const bytes = readFileSync(path);
  const at = bytes.length - 7;
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  writeFileSync(path, bytes);
}

test('copies that come to harm on disk are noticed, and made good from the others', async () => {
  const folder = makeFolder();
  const storeOf = (index: number) => ({ store: { files: join(folder, String(index)) } });
  const { net } = await startNet(3, { runAs: 'inline' }, storeOf);
  const data = replicated('d', 2);
  net.addData(data);
  await net.transfer(data);
  const stored = new Map(
    filesBelow(join(folder, '0')).map((path) => [path, readFileSync(path)] as const),
  );
  expect(stored.size).toBeGreaterThan(10);
  for (const path of stored.keys()) harm(path);
  await expectWhole(net, data);
  // Those of which this node was asked first.
  const mended = [...stored].filter(([path, bytes]) => readFileSync(path).equals(bytes));
  expect(mended.length).toBeGreaterThan(stored.size / 4);
  // Processing meets some of the others, which count no more, and takes the shards from elsewhere.
  expect((await net.process(data)).value).toEqual(wholeDigest);
  const missing = missingIn(net, data);
  expect(missing).toBeGreaterThan(0);
  expect((await net.repair(data)).copies).toBe(missing);
  expect(missingIn(net, data)).toBe(0);
});

test('shards of which no copy is as it was: the error names them', async () => {
  const folder = makeFolder();
  const storeOf = (index: number) => ({ store: { files: join(folder, String(index)) } });
  const { net } = await startNet(2, { runAs: 'inline' }, storeOf);
  const data = replicated('d', 1);
  net.addData(data);
  await net.transfer(data);
  for (const path of filesBelow(join(folder, '0'))) harm(path);
  const harmed = net
    .explain(data)
    .shards.filter(({ nodeIds }) => nodeIds[0] === '1')
    .map(({ index }) => index);
  expect(harmed.length).toBeGreaterThan(10);
  const error = await net.read(data).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: 'PAIPAI_ERR_SHARD_CHECKSUM',
    dataId: 'd',
    nodeId: '1',
    shardIndexes: harmed,
  });
  expect((error as PaipaiError).cause).toBeInstanceOf(AggregateError);
  const first = await net.readEach(data, () => {}).catch((thrown: unknown) => thrown);
  expect(first).toMatchObject({ code: 'PAIPAI_ERR_SHARD_CHECKSUM', dataId: 'd', nodeId: '1' });
  expect((first as PaipaiError).shardIndexes).toHaveLength(1);
  expect(harmed).toEqual(expect.arrayContaining([...((first as PaipaiError).shardIndexes ?? [])]));
  await expect(net.process(data)).rejects.toMatchObject({ code: 'PAIPAI_ERR_SHARD_CHECKSUM' });
});
