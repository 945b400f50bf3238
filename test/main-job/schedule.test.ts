import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  Data,
  type NetOptions,
  type PaipaiError,
  type ProcessOptions,
  type ProcessResult,
} from '../../dist/index.js';
import { makeFolder } from '../support/folders.js';
import { linesOf } from '../support/notes.js';
import { codeOf } from '../support/session-pair.js';
import { noise, type StartedNet, startNet } from './nets.js';

/** Who processes a shard that lies on several nodes, how often, and what counts. */

const handlers = new URL('./schedule-handlers.mjs', import.meta.url);
const strategies = ['leastInFlight', 'p2cEwma', 'cpuLoad', 'roundRobin'] as const;

/** Shards of one byte, with copies of each on `replicas` of the nodes. */
async function netWith(
  nodeCount: number,
  shardCount: number,
  replicas: number,
  options: NetOptions = {},
): Promise<StartedNet & { data: Data }> {
  const started = await startNet(nodeCount, { handlers, runAs: 'inline', ...options });
  const data = new Data('d', noise(shardCount), { shardBytes: 1, replicas });
  started.net.addData(data);
  await started.net.transfer(data);
  return { ...started, data };
}

/** By shard the node whose value counts; each shard is in the value once. */
function nodesOf({ value, report }: ProcessResult, shardCount: number): string[] {
  const pairs = (value as [number, string][]).toSorted(([a], [b]) => a - b); // As the handlers return them.
  expect(pairs.map(([index]) => index)).toEqual(Array.from({ length: shardCount }, (_, at) => at));
  expect(report.shards).toBe(shardCount);
  expect(report.perNode.reduce((sum, { shards }) => sum + shards, 0)).toBe(shardCount);
  return pairs.map(([, nodeId]) => nodeId);
}

function shardsOn(nodeIds: readonly string[], nodeId: string): number {
  return nodeIds.filter((id) => id === nodeId).length;
}

describe('a shard whose handler fails', () => {
  test.each(['mergeThrowingFirst', 'mergeExitingFirst'])(
    'once is done on another node that holds it, and counts once: %s',
    async (handler) => {
      const { net, data } = await netWith(2, 30, 2);
      const folder = makeFolder();
      const args = { folder, shards: [3, 17, 29] };
      const result = await net.process(data, handler, { retries: 1, args });
      const nodeIds = nodesOf(result, 30);
      expect(readdirSync(folder).length).toBe(3);
      for (const shard of args.shards) {
        expect(nodeIds[shard]).not.toBe(readFileSync(join(folder, `failed-${shard}`), 'utf8'));
      }
      expect(result.report.retries).toBeGreaterThanOrEqual(3);
    },
  );

  test('once is done again where it lies, when it lies nowhere else', async () => {
    const { net, data } = await netWith(2, 300, 1);
    const args = { folder: makeFolder(), shards: [0, 1, 2, 150, 298, 299] };
    const { value, report } = await net.process(data, 'listThrowingFirst', { retries: 1, args });
    const entries = value as [number, string][][]; // As the handler returns them.
    expect(entries.map(([first]) => first?.[0])).toEqual(
      Array.from({ length: 300 }, (_, at) => at),
    );
    expect(report).toMatchObject({ shards: 300, bytes: 300, retries: 6 });
  });

  test('while it passes through is done again there', async () => {
    const { net } = await startNet(2, { handlers, runAs: 'inline' });
    const data = new Data('d', noise(200), { shardBytes: 1 });
    net.addData(data);
    const args = { folder: makeFolder(), shards: [0, 100, 199] };
    const options = { retries: 1, args, keep: false };
    nodesOf(await net.process(data, 'mergeThrowingFirst', options), 200);
    expect(await net.contents()).toEqual([]);
  });

  test('too often fails the call, with all that happened to it', async () => {
    const { net, data } = await netWith(2, 20, 2);
    const args = { folder: makeFolder(), shard: 5 };
    const error = await net
      .process(data, 'throwsAlways', { retries: 2, args })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_FAILED',
      shardIndex: 5,
      handler: 'throwsAlways',
      message: expect.stringContaining('never any luck'),
    });
    const { errors } = (error as PaipaiError).cause as AggregateError;
    expect(errors).toHaveLength(3);
    expect(errors.every(({ code }) => code === 'PAIPAI_ERR_HANDLER_FAILED')).toBe(true);
    expect(new Set(errors.map(({ nodeId }) => nodeId))).toEqual(new Set(['1', '2']));
    expect(linesOf(join(args.folder, 'attempts'))).toHaveLength(3);
  });

  test('is not tried again unless that was asked for', async () => {
    const { net, data } = await netWith(2, 20, 2);
    const args = { folder: makeFolder(), shard: 5 };
    expect(await codeOf(net.process(data, 'throwsAlways', { args }))).toBe(
      'PAIPAI_ERR_HANDLER_FAILED',
    );
    expect(linesOf(join(args.folder, 'attempts'))).toHaveLength(1);
  });
});

describe('keep: false', () => {
  test('with retries drops every copy, when all shards have counted', async () => {
    const { net, data } = await netWith(3, 30, 2);
    const args = { folder: makeFolder(), shards: [7, 8] };
    nodesOf(await net.process(data, 'mergeThrowingFirst', { keep: false, retries: 1, args }), 30);
    expect(await net.contents()).toEqual([]);
    expect(await codeOf(net.read(data))).toBe('PAIPAI_ERR_UNKNOWN_DATA');
  });

  test('drops nothing when the call fails', async () => {
    const { net, data } = await netWith(3, 30, 2);
    const args = { folder: makeFolder(), shard: 5 };
    expect(await codeOf(net.process(data, 'throwsAlways', { keep: false, args }))).toBe(
      'PAIPAI_ERR_HANDLER_FAILED',
    );
    expect(Buffer.compare(await net.read(data), noise(30))).toBe(0);
    const copies = (await net.contents()).flatMap(({ perNode }) => perNode);
    expect(copies.reduce((sum, { shards }) => sum + shards, 0)).toBe(60);
  });
});

describe('concurrency', () => {
  test.each([1, 2])('%d is never exceeded on any node', async (concurrency) => {
    const { net, data } = await netWith(2, 60, 1);
    const args = { folder: makeFolder() };
    expect((await net.process(data, 'notesTurns', { concurrency, args })).value).toHaveLength(60);
    const underWay = new Map<string, number>();
    let most = 0;
    for (const line of readFileSync(join(args.folder, 'turns'), 'utf8').trimEnd().split('\n')) {
      const [nodeId = '', step] = line.split(' ');
      const count = (underWay.get(nodeId) ?? 0) + Number(step);
      underWay.set(nodeId, count);
      most = Math.max(most, count);
    }
    expect([...underWay.values()]).toEqual([0, 0]);
    expect(most).toBeGreaterThanOrEqual(1);
    expect(most).toBeLessThanOrEqual(concurrency);
  });
});

describe('strategies', () => {
  test('each gives every shard to one of its holders', async () => {
    const { net, data } = await netWith(4, 100, 2);
    const holders = net.explain(data).shards.map((shard) => shard.nodeIds);
    for (const strategy of strategies) {
      const options = { strategy, args: { ms: 0, slowMs: 0 } };
      const nodeIds = nodesOf(await net.process(data, 'dawdles', options), 100);
      for (const [at, nodeId] of nodeIds.entries()) expect(holders[at]).toContain(nodeId);
    }
  });

  test('a node ten times slower gets fewer shards, but when each has its turn', async () => {
    const { net, data } = await netWith(3, 60, 3);
    const run = async (strategy: ProcessOptions['strategy'] & string) => {
      const options = { strategy, concurrency: 1, backups: false, args: { ms: 4, slowMs: 40 } };
      const result = await net.process(data, 'dawdles', options);
      return { wallMs: result.report.wallMs, slow: shardsOn(nodesOf(result, 60), '1') };
    };
    const turns = await run('roundRobin');
    expect(turns.slow).toBe(20);
    for (const strategy of ['leastInFlight', 'p2cEwma'] as const) {
      const { slow, wallMs } = await run(strategy);
      expect(slow).toBeLessThanOrEqual(12);
      expect(wallMs).toBeLessThan(turns.wallMs * 0.75);
    }
  });

  test('shards that pass through go by it too', async () => {
    const { net } = await startNet(3, { handlers, runAs: 'inline' });
    const run = async (strategy: ProcessOptions['strategy'] & string) => {
      const data = new Data(strategy, noise(600), { shardBytes: 1 });
      net.addData(data);
      const options = { strategy, keep: false, args: { ms: 0, slowMs: 20 } };
      return shardsOn(nodesOf(await net.process(data, 'dawdles', options), 600), '1');
    };
    expect(await run('roundRobin')).toBe(200);
    // A sixth at first, and none while that is more than its share of half of what is left.
    expect(await run('leastInFlight')).toBeLessThanOrEqual(120);
  });

  test('shards that pass through are given away late, so that few wait for a slow node in the end', async () => {
    const { net } = await startNet(2, { handlers, runAs: 'inline' });
    const data = new Data('d', noise(48 * 2 ** 20), { shardBytes: 2 ** 20 });
    net.addData(data);
    const options = { keep: false, concurrency: 1, args: { ms: 0, slowMs: 40 } };
    const nodeIds = nodesOf(await net.process(data, 'dawdles', options), 48);
    // A quarter at first, and none while that is more than it should have before it.
    expect(shardsOn(nodeIds, '1')).toBeLessThanOrEqual(18);
  });

  test('what a node is late with is begun on another one, and counts once', async () => {
    const { net, data } = await netWith(2, 40, 2);
    const result = await net.process(data, 'hangsOnNode1', { deadlineMs: 60_000 });
    const nodeIds = nodesOf(result, 40);
    // What it had begun ends, with a value, when it is told that it comes too late.
    expect(shardsOn(nodeIds, '1')).toBe(0);
    expect(result.report.backups).toBeGreaterThan(0);
    expect(result.report.perNode).toMatchObject([{ nodeId: '2', shards: 40 }]);
  });

  test('without backups a node that is late is waited for', async () => {
    const { net, data } = await netWith(2, 8, 2);
    const options = { backups: false, deadlineMs: 1_000 };
    expect(await codeOf(net.process(data, 'hangsOnNode1', options))).toBe('PAIPAI_ERR_DEADLINE');
  });
});

test('wrong options are refused before anything runs', async () => {
  const { net, nodes, data } = await netWith(1, 1, 1);
  const args = { folder: makeFolder() };
  for (const wrong of [
    { strategy: 'fastest' },
    { strategy: 1 },
    { concurrency: 0 },
    { concurrency: 1.5 },
    { concurrency: 1_025 },
    { concurrency: '2' },
    { retries: -1 },
    { retries: 101 },
    { retries: NaN },
    { backups: 'no' },
    { strategy: null },
    { concurrency: null },
    { retries: null },
    { backups: null },
    { keep: null },
  ]) {
    const options = { ...wrong, args } as ProcessOptions;
    for (const target of [net, ...nodes]) {
      await expect(target.process(data, 'notesTurns', options)).rejects.toMatchObject({
        code: 'PAIPAI_ERR_INVALID_ARGUMENT',
        message: expect.stringContaining(Object.keys(wrong)[0] ?? ''),
      });
    }
  }
  expect(existsSync(join(args.folder, 'turns'))).toBe(false);
});
