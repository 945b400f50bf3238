import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Data, type MapReduceOptions, type MapReduceResult } from '../../dist/index.js';
import { noise, ownTmpdir, type StartedNet, startNet } from '../main-job/nets.js';
import { makeFolder } from '../support/folders.js';

/** Nodes that are killed, or stand still, in the middle of a MapReduce. */

const handlers = new URL('../main-job/map-reduce-handlers.mjs', import.meta.url);
const wordCount = { map: 'words', reduce: 'sum', combine: 'sum' } as const;

/** 12 MiB of text: several tasks for each node. */
const text = Array.from(noise(12 * 2 ** 17, 7), (byte) => `word${byte}`.padEnd(7)).join('\n');
const counts = new Map<string, number>();
for (const word of text.split(/\s+/)) counts.set(word, (counts.get(word) ?? 0) + 1);

function sorted(value: ReadonlyMap<string, unknown>): [string, unknown][] {
  return [...value].sort(([a], [b]) => (a < b ? -1 : 1));
}

interface Prepared extends StartedNet {
  readonly data: Data;
}

/** Processes with the text on them: every shard on each of the first `copies` nodes, or balanced over all when that is 0. */
async function netWithText(nodeCount: number, copies: number): Promise<Prepared> {
  const started = await startNet(nodeCount, { handlers });
  const data = new Data('text', Buffer.from(text), { shardBytes: 64 * 1024, records: 'lines' });
  started.net.addData(data);
  if (copies === 0) await started.net.transfer(data);
  for (const node of started.nodes.slice(0, copies)) await started.net.transfer(data, node);
  return { ...started, data };
}

/** Kills a node as soon as something of this phase is done. */
async function killIn(
  phase: 'map' | 'reduce',
  { net, data, pids }: Prepared,
  options: Partial<MapReduceOptions> = {},
): Promise<MapReduceResult> {
  let isKilled = false;
  return net.mapReduce(data, {
    ...wordCount,
    partitions: 64,
    ...options,
    onProgress: (progress) => {
      if (progress.phase === phase && !isKilled) isKilled = process.kill(pids[0] ?? 0, 'SIGKILL');
    },
  });
}

describe.each(['map', 'reduce'] as const)('a node is killed in the %s phase', (phase) => {
  test('others that hold the shards do its part again, and each word counts once', async () => {
    const folder = ownTmpdir();
    const prepared = await netWithText(3, 2);
    const { value, report } = await killIn(phase, prepared);
    expect(sorted(value)).toEqual(sorted(counts));
    expect(report.retries).toBeGreaterThan(0);
    expect(report).toMatchObject({ bytes: Buffer.byteLength(text), localShare: 1 });
    expect(report.map.perNode[0]).toMatchObject({ nodeId: '1', bytes: 0, tasks: 0 });
    expect(readdirSync(folder)).toEqual([]);

    // Whoever is left can do it alone.
    const { value: again } = await prepared.net.mapReduce(prepared.data, wordCount);
    expect(sorted(again)).toEqual(sorted(counts));
  });

  test('without a copy elsewhere the call fails, and says what is gone', async () => {
    const folder = ownTmpdir();
    const prepared = await netWithText(2, 0);
    await expect(killIn(phase, prepared)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_NODE_LOST',
      nodeId: '1',
      dataId: 'text',
      shardIndexes: expect.arrayContaining([expect.any(Number)]),
    });
    expect(readdirSync(folder)).toEqual([]);

    const { net } = prepared;
    const next = new Data('next', Buffer.from('one two\n'));
    net.addData(next);
    expect((await net.mapReduce(next, wordCount)).value.size).toBe(2);
  });
});

test('a node that only reduced is killed: its partitions go elsewhere', async () => {
  const { net, nodes, pids } = await startNet(2, { handlers });
  const data = new Data('text', Buffer.from(text), { shardBytes: 64 * 1024, records: 'lines' });
  net.addData(data);
  await net.transfer(data, nodes[1]);
  const { value, report } = await killIn('reduce', { net, nodes, pids, data });
  expect(sorted(value)).toEqual(sorted(counts));
  expect(report.map.perNode[1]?.bytes).toBe(Buffer.byteLength(text));
  expect(report.retries).toBeGreaterThan(0);
});

test('what one node is late with, another does too, and it counts once', async () => {
  const { net, data } = await netWithText(2, 2);
  const { value, report } = await net.mapReduce(data, { ...wordCount, map: 'wordsButNotOn1' });
  expect(sorted(value)).toEqual(sorted(counts));
  expect(report.backups).toBeGreaterThan(0);
  expect(report.retries).toBe(0);
  expect(report.map.perNode).toMatchObject([{ nodeId: '1', bytes: 0 }, { nodeId: '2' }]);
});

test('shards that came to harm on one node are mapped where they are whole', async () => {
  const folder = makeFolder();
  const { net, nodes } = await startNet(2, { handlers }, (at) =>
    at === 0 ? { store: { files: folder } } : {},
  );
  const data = new Data('text', Buffer.from(text), { shardBytes: 64 * 1024, records: 'lines' });
  net.addData(data);
  for (const node of nodes) await net.transfer(data, node);
  damageShards(folder);
  const { value, report } = await net.mapReduce(data, wordCount);
  expect(sorted(value)).toEqual(sorted(counts));
  expect(report.retries).toBeGreaterThan(0);
  expect(report.map.perNode).toMatchObject([{ bytes: 0 }, { bytes: Buffer.byteLength(text) }]);
  // What was found to be damaged counts as a copy no more.
  expect(net.explain(data).shards.some(({ nodeIds }) => !nodeIds.includes('1'))).toBe(true);
});

/** Changes the last byte of every large file, which is content. */
function damageShards(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || statSync(path).size < 1_000) continue;
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(path, bytes);
  }
}
