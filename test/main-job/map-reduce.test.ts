import { readdirSync } from 'node:fs';
import { toUSVString } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Data, type MapReduceOptions, type Net, type NetOptions } from '../../dist/index.js';
import { makeFolder } from '../support/folders.js';
import { seeded } from '../support/seeded.js';
import { openDescriptors, ownTmpdir, reached, type StartedNet, startNet } from './nets.js';

/** From the data to the value of each key, over nodes of all kinds. */

const handlers = new URL('./map-reduce-handlers.mjs', import.meta.url);
const wordCount = { map: 'words', reduce: 'sum' } as const;
const least = 1024 * 1024;

function startJobNet(nodeCount: number, options: NetOptions = {}): Promise<StartedNet> {
  return startNet(nodeCount, { handlers, runAs: 'inline', ...options });
}

/** Words of a vocabulary of this size, the more frequent the lower their number, in lines. */
function textOf(words: number, vocabulary: number, seed = 1): string {
  const random = seeded(seed);
  let text = '';
  for (let at = 0; at < words; at++) {
    const number = Math.floor(vocabulary * random.next() ** 3);
    text += `${number % 7 === 0 ? 'größe' : 'word'}${number}${at % 10 === 9 ? '\n' : ' '}`;
  }
  return text;
}

function countWords(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of text.split(/\s+/)) {
    if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

/** As entries in one order, since that of a Map counts for nothing here. */
function sorted(value: ReadonlyMap<string, unknown>): [string, unknown][] {
  return [...value].sort(([a], [b]) => (a < b ? -1 : 1));
}

function addText(net: Net, text: string, shardBytes: number): Data {
  const data = new Data('text', Buffer.from(text), { shardBytes, records: 'lines' });
  net.addData(data);
  return data;
}

/** Some zero bytes in as many shards as this, for maps that do not look at them. */
function addShards(net: Net, count: number): Data {
  const data = new Data('shards', count, { shardBytes: 1 });
  net.addData(data);
  return data;
}

describe.each(['process', 'thread', 'inline'] as const)('nodes as %s', (runAs) => {
  test.each([1, 2, 4])('%i of them count words as one thread does', async (nodeCount) => {
    const { net } = await startJobNet(nodeCount, { runAs });
    const text = textOf(100_000, 5_000);
    const data = addText(net, text, 10_000);
    await net.transfer(data);

    const plain = await net.mapReduce(data, wordCount);
    expect(sorted(plain.value)).toEqual(sorted(countWords(text)));
    const combined = await net.mapReduce(data, { ...wordCount, combine: 'sum' });
    expect(sorted(combined.value)).toEqual(sorted(plain.value));

    const { report } = combined;
    const bytes = Buffer.byteLength(text);
    expect(report).toMatchObject({
      dataId: 'text',
      bytes,
      keys: plain.value.size,
      localShare: 1,
      retries: 0,
      backups: 0,
      spilledBytes: 0,
    });
    expect(report.map.bytes).toBe(bytes);
    expect(report.map.perNode.map(({ nodeId }) => nodeId)).toEqual(
      ['1', '2', '3', '4'].slice(0, nodeCount),
    );
    expect(report.reduce.tasks).toBe(report.partitions);
    expect(report.reduce.bytes).toBe(report.emittedBytes);
    expect(report.shuffle.bytes > 0).toBe(nodeCount > 1);
    expect(report.sumMs).toBeCloseTo(report.map.sumMs + report.reduce.sumMs, 6);
    expect(report.speedUp).toBeCloseTo(report.sumMs / report.wallMs, 9);
    // Fewer entries than words are sent, with a count for each.
    expect(report.emittedBytes).toBeLessThan(plain.report.emittedBytes);
  });
});

describe('mapReduce', () => {
  test('of random texts is what one thread makes of them', async () => {
    const { net } = await startJobNet(2);
    const word = fc.oneof(fc.constantFrom('a', 'b', 'the', 'größe', '漢字', '😀'), fc.string());
    const text = fc
      .array(fc.oneof(word, fc.constantFrom(' ', '\n', '\t ')), { minLength: 1, maxLength: 300 })
      .map((parts) => toUSVString(`${parts.join(' ')}\n`));
    let id = 0;
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        async (content, partitions, combines) => {
          const data = new Data(++id, Buffer.from(content), {
            shardBytes: 4_096,
            records: 'lines',
          });
          net.addData(data);
          const combine = combines ? { combine: 'sum' } : {};
          const { value } = await net.mapReduce(data, { ...wordCount, ...combine, partitions });
          expect(sorted(value)).toEqual(sorted(countWords(content)));
        },
      ),
      { numRuns: 50 },
    );
  });

  test('transfers data that lie nowhere yet', async () => {
    const { net } = await startJobNet(2);
    const data = addText(net, 'to be or not to be\n', 100);
    const { value, transfer } = await net.mapReduce(data, wordCount);
    expect(sorted(value)).toEqual([
      ['be', 2],
      ['not', 1],
      ['or', 1],
      ['to', 2],
    ]);
    expect(transfer).toMatchObject({ shards: 1 });
    expect((await net.mapReduce(data, wordCount)).transfer).toBeUndefined();
  });

  test('reads shards from a store on disk', async () => {
    const { net } = await startNet(2, { handlers, runAs: 'inline' }, () => ({
      store: { files: makeFolder() },
    }));
    const text = textOf(20_000, 500);
    const data = addText(net, text, 4_000);
    const { value } = await net.mapReduce(data, wordCount);
    expect(sorted(value)).toEqual(sorted(countWords(text)));
  });

  test('maps that emit nothing give nothing', async () => {
    const { net } = await startJobNet(2);
    const { value, report } = await net.mapReduce(addShards(net, 5), {
      map: 'emitsNothing',
      reduce: 'sum',
      combine: 'sum',
    });
    expect(value.size).toBe(0);
    expect(report).toMatchObject({ bytes: 5, shards: 5, keys: 0, emittedBytes: 0 });
  });

  test('waits for functions that are asynchronous', async () => {
    const { net } = await startJobNet(2);
    const text = textOf(500, 20);
    const { value } = await net.mapReduce(addText(net, text, 500), {
      map: 'wordsLater',
      reduce: 'sumLater',
    });
    expect(sorted(value)).toEqual(sorted(countWords(text)));
  });

  test('values of every kind come through as they were', async () => {
    const { net } = await startJobNet(2);
    const values = [
      null,
      true,
      false,
      0,
      127,
      128,
      -1,
      2 ** 31 - 1,
      2 ** 31,
      -(2 ** 31),
      2 ** 53,
      0.1,
      -Infinity,
      '',
      'text',
      'größe 漢字 😀',
      -5n,
      2n ** 64n - 1n,
      new Uint8Array([1, 2, 3]),
      new Date(0),
      [1, [2, { deep: 'down' }]],
      { a: 1, b: [null] },
    ];
    const { value } = await net.mapReduce(addShards(net, 2), {
      map: 'emitsArgs',
      reduce: 'list',
      args: values,
    });
    expect(value.size).toBe(values.length);
    values.forEach((each, at) => {
      expect(value.get(String(at))).toEqual([each, each]);
    });
  });

  test('every function learns what it works on', async () => {
    const { net } = await startJobNet(2);
    const args = { deep: [1, null] };
    const { value } = await net.mapReduce(addText(net, 'a b a\n', 100), {
      map: 'words',
      reduce: 'countedBy',
      args,
    });
    expect(value.get('a')).toEqual({
      count: 2,
      args,
      dataId: 'text',
      isNode: true,
      aborted: false,
    });
  });

  test('a reduce need not read all values', async () => {
    const { net } = await startJobNet(1);
    const { value } = await net.mapReduce(addShards(net, 3), {
      map: 'manyKeys',
      reduce: 'first',
      args: 100,
    });
    expect(value.size).toBe(100);
    expect([...value.values()].every((index) => [0, 1, 2].includes(Number(index)))).toBe(true);
  });

  test('progress grows to the whole, and the event says the same', async () => {
    const { net } = await startJobNet(2);
    const text = textOf(2_000, 50);
    const data = addText(net, text, 1_000);
    await net.transfer(data);
    const heard: unknown[] = [];
    const events: unknown[] = [];
    net.on('progress', (progress) => events.push(progress));
    await net.mapReduce(data, { ...wordCount, onProgress: (progress) => heard.push(progress) });
    const bytes = Buffer.byteLength(text);
    expect(heard).toContainEqual(
      expect.objectContaining({ phase: 'map', dataId: 'text', bytes, totalBytes: bytes }),
    );
    const partitions = (heard.at(-1) as { partitions: number }).partitions;
    expect(heard.at(-1)).toMatchObject({ phase: 'reduce', bytes, totalPartitions: partitions });
    expect(events).toEqual(heard);
  });

  test('several jobs on the same data do not disturb each other', async () => {
    const { net } = await startJobNet(2);
    const text = textOf(5_000, 300);
    const data = addText(net, text, 1_000);
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        net.mapReduce(data, { ...wordCount, partitions: at + 1 }),
      ),
    );
    for (const { value } of all) expect(sorted(value)).toEqual(sorted(countWords(text)));
  });
});

describe('beyond the memory of a job', () => {
  test.each([undefined, 'sum'])('keys spill and come back, with combine %s', async (combine) => {
    const folder = ownTmpdir();
    const { net } = await startJobNet(2, { runAs: 'process' });
    const keys = 60_000;
    const data = addShards(net, 8);
    const { value, report } = await net.mapReduce(data, {
      map: 'manyKeys',
      reduce: 'sum',
      args: keys,
      memoryBytes: least,
      partitions: 3,
      ...(combine === undefined ? {} : { combine }),
      // The files have no names, so nothing of them can be left.
      onProgress: () => expect(readdirSync(folder)).toEqual([]),
    });
    expect(report.spilledBytes).toBeGreaterThan(least);
    expect(value.size).toBe(keys);
    expect([...value.values()].every((sum) => sum === 28)).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('so do the values of one key', async () => {
    const { net } = await startJobNet(2);
    const { value, report } = await net.mapReduce(addShards(net, 4), {
      map: 'manyValues',
      reduce: 'sum',
      args: 500_000,
      memoryBytes: least,
    });
    expect([...value]).toEqual([['one', (4 * 500_000 * 499_999) / 2]]);
    expect(report.spilledBytes).toBeGreaterThan(least);
  });

  test('no descriptor is left, whether it ends well or not', async () => {
    const { net } = await startJobNet(2);
    const data = addShards(net, 4);
    const call = { map: 'manyKeys', reduce: 'sum', args: 5_000, memoryBytes: least };
    await net.mapReduce(data, call);
    const before = openDescriptors();
    for (let round = 0; round < 3; round++) {
      await net.mapReduce(data, call);
      await net.mapReduce(data, { ...call, reduce: 'throws' }).catch(() => {});
      await net.mapReduce(data, { ...call, map: 'endless', deadlineMs: 100 }).catch(() => {});
    }
    expect(await reached(2_000, () => openDescriptors() <= before)).toBe(true);
  });
});

describe('keys', () => {
  async function keysOf(keys: readonly unknown[], map = 'emitsKeys'): Promise<string[]> {
    const { net } = await startJobNet(1);
    const { value } = await net.mapReduce(addShards(net, 1), { map, reduce: 'sum', args: keys });
    return [...value.keys()];
  }

  test('may have 64 KiB of UTF-8, and may be empty', async () => {
    expect(await keysOf(['', 'short'])).toEqual(expect.arrayContaining(['', 'short']));
    const longest = ['k'.repeat(64 * 1024), 'é'.repeat(32 * 1024)];
    expect((await keysOf([], 'emitsLongestKeys')).sort()).toEqual(longest);
  });

  test.each([
    ['longer than 64 KiB', 'emitsLongKey'],
    ['longer than 64 KiB in UTF-8', 'emitsLongUtf8Key'],
    ['with half of a surrogate pair', 'emitsHalfPair'],
  ])('%s are refused', async (_what, map) => {
    const { net } = await startJobNet(1);
    await expect(net.mapReduce(addShards(net, 2), { map, reduce: 'sum' })).rejects.toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_RESULT',
      nodeId: '1',
      shardIndex: 0,
    });
    expect((await net.mapReduce(addText(net, 'fine\n', 10), wordCount)).value.size).toBe(1);
  });

  test.each([
    ['a number', 5],
    ['nothing', null],
    ['an array', ['a']],
  ])('that are %s are refused, also when the map catches it', async (_what, key) => {
    for (const map of ['emitsKeys', 'emitsKeysAndCatches']) {
      await expect(keysOf(['good', key], map)).rejects.toMatchObject({
        code: 'PAIPAI_ERR_HANDLER_RESULT',
        shardIndex: 0,
      });
    }
  });
});

describe('a function', () => {
  async function failureOf(options: MapReduceOptions, shards = 3): Promise<unknown> {
    const { net } = await startJobNet(2);
    const data = addShards(net, shards);
    const outcome = await net.mapReduce(data, options).catch((error: unknown) => error);
    // The net goes on.
    const { value } = await net.mapReduce(addText(net, 'still alive\n', 100), wordCount);
    expect(value.size).toBe(2);
    return outcome;
  }

  test('that throws on one shard fails the call, and says where', async () => {
    expect(await failureOf({ map: 'throwsOnShard1', reduce: 'sum' })).toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_FAILED',
      message: expect.stringContaining('no luck with this one'),
      nodeId: expect.stringMatching(/^[12]$/),
      shardIndex: 1,
      handler: 'throwsOnShard1',
    });
  });

  test('that throws on several nodes: all of it is kept', async () => {
    expect(await failureOf({ map: 'throws', reduce: 'sum' })).toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_FAILED',
      cause: {
        errors: expect.arrayContaining([
          expect.objectContaining({ nodeId: '1', code: 'PAIPAI_ERR_HANDLER_FAILED' }),
          expect.objectContaining({ nodeId: '2', code: 'PAIPAI_ERR_HANDLER_FAILED' }),
        ]),
      },
    });
  });

  test.each([
    ['combine', { map: 'manyValues', combine: 'throws', reduce: 'sum', args: 50 }],
    ['reduce', { map: 'manyValues', reduce: 'throws', args: 1 }],
    ['asynchronous reduce', { map: 'manyValues', reduce: 'rejects', args: 1 }],
  ])('that throws in %s names the key', async (_what, options) => {
    expect(await failureOf(options)).toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_FAILED',
      message: expect.stringContaining('"one"'),
      nodeId: expect.stringMatching(/^[12]$/),
    });
  });

  test('must not be an asynchronous combine', async () => {
    const options = { map: 'manyValues', combine: 'sumLater', reduce: 'sum', args: 50 };
    expect(await failureOf(options)).toMatchObject({ code: 'PAIPAI_ERR_HANDLER_RESULT' });
  });

  test('that emits what cannot be sent', async () => {
    expect(await failureOf({ map: 'emitsFunction', reduce: 'sum' })).toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_RESULT',
      message: expect.stringContaining('"key"'),
    });
  });

  test('that emits when its map is over is told so', async () => {
    const { net } = await startJobNet(1);
    const data = addShards(net, 1);
    expect((await net.mapReduce(data, { map: 'emitsTooLate', reduce: 'sum' })).value.size).toBe(0);
    const { value } = await net.mapReduce(data, { map: 'emitsLateError', reduce: 'sum' });
    expect([...value.keys()]).toEqual(['PAIPAI_ERR_INVALID_STATE']);
  });

  test.each([
    { map: 'none', reduce: 'sum' },
    { map: 'words', reduce: 'none' },
    { map: 'words', reduce: 'sum', combine: 'none' },
  ])('that nobody knows is refused before anything runs: %o', async (options) => {
    const outcome = await failureOf({
      ...options,
      onProgress: () => expect.unreachable('something ran'),
    });
    expect(outcome).toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_UNKNOWN',
      message: expect.stringContaining("'none'"),
      handler: 'none',
    });
  });

  test('that never returns is ended at the deadline, or when the caller aborts', async () => {
    const endless = { map: 'endless', reduce: 'sum' };
    expect(await failureOf({ ...endless, deadlineMs: 300 })).toMatchObject({
      code: 'PAIPAI_ERR_DEADLINE',
    });
    const reason = new Error('changed my mind');
    const abort = new AbortController();
    const { net } = await startJobNet(2);
    const data = addShards(net, 3);
    await net.transfer(data);
    const running = net.mapReduce(data, { ...endless, signal: abort.signal });
    setImmediate(() => abort.abort(reason));
    await expect(running).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED', cause: reason });
    expect(
      await failureOf({ map: 'manyKeys', args: 10, reduce: 'endless', deadlineMs: 500 }),
    ).toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
  });

  test('is under way when the net is closed', async () => {
    const folder = ownTmpdir();
    const { net } = await startJobNet(2, { runAs: 'process' });
    const data = addShards(net, 4);
    await net.transfer(data);
    const endless = net.mapReduce(data, { map: 'endless', reduce: 'sum' });
    const outcome = endless.catch((error: unknown) => error);
    await net.close();
    expect(await outcome).toMatchObject({ code: 'PAIPAI_ERR_CLOSED' });
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('options', () => {
  test.each([
    ['no options', undefined],
    ['no map', { reduce: 'sum' }],
    ['no reduce', { map: 'words' }],
    ['an empty name', { ...wordCount, combine: '' }],
    ['no partitions', { ...wordCount, partitions: 0 }],
    ['too many partitions', { ...wordCount, partitions: 1_025 }],
    ['too little memory', { ...wordCount, memoryBytes: least - 1 }],
    ['a misspelt name', { ...wordCount, reducer: 'sum' }],
    ['no function for progress', { ...wordCount, onProgress: 'tell me' }],
    ['long args', { ...wordCount, args: 'x'.repeat(50_000) }],
  ])('with %s are refused', async (_what, options) => {
    const { net } = await startJobNet(1);
    const data = addShards(net, 1);
    // What a caller without types may pass.
    await expect(net.mapReduce(data, options as unknown as MapReduceOptions)).rejects.toMatchObject(
      {
        code: 'PAIPAI_ERR_INVALID_ARGUMENT',
      },
    );
  });

  test('with a signal that has fired nothing runs', async () => {
    const { net } = await startJobNet(1);
    await expect(
      net.mapReduce(addShards(net, 1), { ...wordCount, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
  });

  test('every number of partitions gives the same', async () => {
    const { net } = await startJobNet(2);
    const text = textOf(3_000, 400);
    const data = addText(net, text, 2_000);
    for (const partitions of [1, 2, 7, 1_024]) {
      const { value, report } = await net.mapReduce(data, { ...wordCount, partitions });
      expect(sorted(value)).toEqual(sorted(countWords(text)));
      expect(report.partitions).toBe(partitions);
    }
  });
});
