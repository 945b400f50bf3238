import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { decodeMapValue } from '../../dist/cluster/transfer/map-value.js';
import { dropMethod, encodeDropRequest } from '../../dist/cluster/transfer/messages.js';
import { Data, Net, type NetOptions, PaipaiError } from '../../dist/index.js';
import { createRealEnv } from '../../dist/node/real-env.js';
import { selectEngine } from '../../dist/node/select-network.js';
import { connectPeer } from '../../dist/session/connect.js';
import { noise, reached } from '../main-job/nets.js';
import { makeFolder } from '../support/folders.js';
import { NodeProcess } from '../support/node-process.mjs';
import { codeOf } from '../support/session-pair.js';

/** Several clients of nodes in processes of their own, whose shards lie on disk, and one of which coordinates. */

const shardBytes = 4_096;
const timeout = 120_000;

const nodes: NodeProcess[] = [];

async function startNode(id: string, ...options: string[]): Promise<NodeProcess> {
  const node = await NodeProcess.start(['--id', id, ...options]);
  nodes.push(node);
  return node;
}

const onDisk = (): string[] => ['--store', `files:${makeFolder()}/s`];

let first: NodeProcess;
beforeAll(async () => {
  first = await startNode('a', '--coordinator', ...onDisk());
  await startNode('b', '--join', first.address, ...onDisk());
  await startNode('c', '--join', first.address, ...onDisk());
}, timeout);
afterAll(() => Promise.all(nodes.map((node) => node.kill())));

async function joined(options: NetOptions = {}, join = first.address, count = 3): Promise<Net> {
  const net = new Net({ join: [join], ...options });
  onTestFinished(() => net.close());
  await net.start();
  const isWhole = () => net.nodes().filter(({ state }) => state === 'alive').length === count;
  expect(await reached(20_000, isWhole)).toBe(true);
  return net;
}

function add(net: Net, id: string, source?: Uint8Array, replicas = 2): Data {
  const data =
    source === undefined
      ? Data.stored(id, { replicas })
      : new Data(id, source, { shardBytes, replicas });
  net.addData(data);
  return data;
}

/** What the table says, by shard, and the version. */
async function mapOf(net: Net, id: string) {
  const { value } = await net.coordinator.get(`paipainet/shards/0/${id}`);
  if (value === undefined) throw new Error(`no map of ${id}`);
  return decodeMapValue(value);
}

/** Every copy that the table names lies where it says, and each shard has as many as it should. */
async function expectTrue(net: Net, data: Data, copies: number): Promise<void> {
  const { shards = [] } = await mapOf(net, data.id);
  const held = await net.shardsOf(data);
  expect(shards.length).toBeGreaterThan(0);
  for (const { index, crc32c, holders } of shards) {
    const there = held.shards.filter((one) => one.index === index && one.crc32c === crc32c);
    expect(there.flatMap(({ nodeIds }) => nodeIds)).toEqual(expect.arrayContaining([...holders]));
    expect(holders.length).toBeGreaterThanOrEqual(copies);
  }
}

const codesOf = (settled: PromiseSettledResult<unknown>[]): string[] =>
  settled.flatMap((one) =>
    one.status === 'fulfilled'
      ? []
      : [one.reason instanceof PaipaiError ? one.reason.code : String(one.reason)],
  );

describe('a shard map', () => {
  test('tells a second client where the shards lie', { timeout }, async () => {
    const content = noise(100_000, 1);
    const one = await joined();
    const data = add(one, 'd1', content);
    await one.transfer(data);
    await expectTrue(one, data, 2);
    const other = await joined();
    const stored = add(other, 'd1');
    // Processed at once: nobody has to look for them.
    const { value } = await other.process(stored);
    expect(value).toMatchObject({ bytes: 100_000, shards: 25 });
    expect(await other.read(stored)).toEqual(content);
    const placesOf = (net: Net, of: Data) =>
      net.explain(of).shards.map(({ nodeIds }) => [...nodeIds].sort());
    expect(placesOf(other, stored)).toEqual(placesOf(one, data));

    await one.drop(data);
    expect(await codeOf(other.read(stored))).toBe('PAIPAI_ERR_UNKNOWN_DATA');
    expect((await mapOf(one, 'd1')).shards).toEqual([]);
    await one.transfer(data);
    expect(await other.read(stored)).toEqual(content);
  });

  test('that is old is refused, and read anew', { timeout }, async () => {
    const content = noise(200_000, 2);
    const one = await joined();
    const data = add(one, 'd2', content);
    await one.transfer(data);
    const other = await joined();
    const stored = add(other, 'd2');
    await other.read(stored);
    const { version } = await mapOf(one, 'd2');
    // Everything goes away from one of the nodes.
    await one.removeNode(one.node('b'));
    const after = await mapOf(one, 'd2');
    expect(after.version).toBeGreaterThan(version);
    expect(after.shards?.flatMap(({ holders }) => holders)).not.toContain('b');
    expect((await one.process(data)).value).toMatchObject({ bytes: 200_000, shards: 49 });
    // This client still takes them to be there.
    const { value, perNode } = await other.process(stored);
    expect(value).toMatchObject({ bytes: 200_000, shards: 49 });
    expect(perNode.map(({ nodeId }) => nodeId)).not.toContain('b');

    const peer = await connectPeer(
      { ...createRealEnv(), network: selectEngine('auto').network },
      first.address,
      { nodeId: 'late' },
    );
    onTestFinished(() => peer.destroy());
    for (const mapVersion of [0, version]) {
      const dropping = peer.request(
        dropMethod,
        encodeDropRequest({ dataId: 'd2', version: 0n, mapVersion }),
      );
      await expect(dropping).rejects.toMatchObject({
        code: 'PAIPAI_ERR_STALE_MAP',
        mapVersion: expect.any(Number),
      });
    }
    expect(await other.read(stored)).toEqual(content);
  });

  test('holds what is there while two clients change the same data', { timeout }, async () => {
    const content = noise(300_000, 3);
    const one = await joined();
    const other = await joined();
    const data = add(one, 'd3', content);
    const same = add(other, 'd3', content);
    await one.transfer(data);
    for (let round = 0; round < 6; round++) {
      const codes = codesOf(
        await Promise.allSettled([
          one.transfer(data),
          round % 2 === 0 ? other.rebalance() : other.transfer(same),
          other.repair(same),
        ]),
      );
      // Who was overtaken says so, and everybody else is done.
      expect(codes.filter((code) => code !== 'PAIPAI_ERR_STALE_MAP')).toEqual([]);
    }
    const third = await joined();
    const stored = add(third, 'd3');
    await third.repair(stored);
    await expectTrue(third, stored, 2);
    expect(await third.read(stored)).toEqual(content);
  });

  test('is true after clients that were killed in the middle', { timeout }, async () => {
    const program = fileURLToPath(new URL('shard-maps-client.mjs', import.meta.url));
    const net = await joined();
    const data = add(net, 'd4', new Uint8Array(400_000));
    for (let round = 0; round < 4; round++) {
      const client = spawn(process.execPath, [program, first.address, 'd4', '400000'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      // After more and more of what it says, so somewhere else each time.
      for (let said = 0; said <= round; said++) await once(client.stdout!, 'data');
      const gone = once(client, 'exit');
      client.kill('SIGKILL');
      await gone;
      if (round % 2 === 0) {
        await net.transfer(data);
        await expectTrue(net, data, 2);
        expect((await net.read(data)).byteLength).toBe(400_000);
      }
    }
    const late = await joined();
    const again = add(late, 'd4', new Uint8Array(400_000));
    expect((await late.process(again)).value).toMatchObject({ bytes: 400_000 });
    await expectTrue(late, again, 2);
  });
});

test('a coordinator that is down, and one that has lost its table', { timeout }, async () => {
  const table = await startNode('table', '--coordinator');
  await startNode('x', '--join', table.address, ...onDisk());
  const y = await startNode('y', '--join', table.address, ...onDisk());
  const content = noise(50_000, 4);
  const net = await joined({}, y.address);
  const data = add(net, 'd5', content);
  await net.transfer(data, net.node('x'));
  await net.transfer(data, net.node('y'));
  const before = await mapOf(net, 'd5');
  await table.kill();
  expect(await net.read(data)).toEqual(content);
  expect((await net.process(data)).value).toMatchObject({ bytes: 50_000 });
  expect(await codeOf(net.transfer(data, net.node('x')))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
  expect(await codeOf(net.drop(data))).toBe('PAIPAI_ERR_COORDINATOR_DOWN');
  expect(await net.read(data)).toEqual(content);

  await table.start();
  const isBack = () => net.nodes().some(({ id, state }) => id === 'table' && state === 'alive');
  expect(await reached(20_000, isBack)).toBe(true);
  // Nothing is in the table, and the nodes say what there is.
  const late = await joined({}, y.address);
  const stored = add(late, 'd5');
  expect(await late.read(stored)).toEqual(content);
  await net.repair(data);
  const after = await mapOf(net, 'd5');
  expect(after.version).toBeGreaterThan(before.version);
  expect(after.shards?.length).toBe(13);
  await late.drop(stored);
  expect(await codeOf(net.read(data))).toBe('PAIPAI_ERR_UNKNOWN_DATA');
});
