import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { explainCommand } from '../../../dist/cli/explain.js';
import { getCommand } from '../../../dist/cli/get.js';
import { lsCommand } from '../../../dist/cli/ls.js';
import { mapReduceCommand } from '../../../dist/cli/mapreduce.js';
import { planCommand } from '../../../dist/cli/plan.js';
import { processCommand } from '../../../dist/cli/process.js';
import { putCommand } from '../../../dist/cli/put.js';
import { makeFolder } from '../../support/folders.js';
import { quietPort } from '../../support/quiet-port.js';
import {
  type CliResult,
  cliArguments,
  type RunningCli,
  runCli,
  startCli,
  startProgram,
} from './run-cli.js';
import { runCommand } from './run-command.js';

/** The commands that work as a client of running nodes, each as a person or a script calls it. */

const started: RunningCli[] = [];
const folder = makeFolder();
const book = join(folder, 'book.txt');
const words = ['net', 'node', 'data', 'shard', 'frame'];
const lines = Array.from({ length: 400 }, (_, at) => `${words[at % 5]} ${words[(at * 7) % 5]}`);
const text = `${lines.join('\n')}\n`;

interface Net {
  readonly address: string;
  readonly nodes: readonly { nodeId: string; pid: number }[];
}

async function startNet(...args: string[]): Promise<Net> {
  const up = startCli(['up', '--json', '--listen', 'tcp://127.0.0.1:0', ...args], {
    TMPDIR: folder,
  });
  started.push(up);
  const [line] = await up.seen(/^.*\n/);
  return JSON.parse(line);
}

let net: Net;
beforeAll(async () => {
  writeFileSync(book, text);
  const handlers = join(folder, 'handlers.mjs');
  writeFileSync(
    handlers,
    `export function lines(shard, { args }) {
      if (args?.fail) throw new Error('no luck');
      while (args?.hang);
      return shard.reduce((sum, byte) => sum + (byte === 10 ? 1 : 0), 0);
    }
    lines.merge = (a, b) => a + b;
    export const bytes = { process: (shard) => shard.slice(0, 2), merge: (a) => a };
    export function words(shard, { emit }) {
      for (const [word] of new TextDecoder().decode(shard).matchAll(/\\w+/g)) emit(word, 1);
    }
    export function sum(_word, counts) {
      let total = 0;
      for (const count of counts) total += count;
      return total;
    }`,
  );
  net = await startNet('-n', '3', '--handlers', handlers);
  expect(
    await call('put', book, '--replicas', '2', '--shard-size', '500', '--records', 'lines'),
  ).toMatchObject({
    end: 0,
    err: '',
  });
});
afterAll(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ ended }) => ended));
});

/** `paipainet …` in the net of this file. */
function call(...args: string[]): Promise<CliResult> {
  return runCli(args, { PAIPAINET_JOIN: net.address });
}

/** What stands on standard output, which has to be one document and nothing else. */
// biome-ignore lint/suspicious/noExplicitAny: what a command prints is what these tests look at.
async function json(...args: string[]): Promise<{ end: number | string; value: any }> {
  const { end, out, err } = await call(...args, '--json');
  expect(err).toBe('');
  return { end, value: JSON.parse(out) };
}

const byName = {
  ls: lsCommand,
  put: putCommand,
  get: getCommand,
  process: processCommand,
  mapreduce: mapReduceCommand,
  explain: explainCommand,
  plan: planCommand,
};

/** Exit code and error of a command that is refused, as a script gets them with --json. */
async function refusal(
  name: keyof typeof byName,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<[end: number, code: string]> {
  const all = { PAIPAINET_JOIN: net.address, ...variables };
  const { end, out, err } = await runCommand(byName[name], [...args, '--json'], all);
  expect(err).toBe('');
  return [end, JSON.parse(out).error.code];
}

const nodeIds = ['node-1', 'node-2', 'node-3'];

describe('ls', () => {
  test('nodes', async () => {
    const { end, value } = await json('ls', 'nodes');
    expect(end).toBe(0);
    expect(value.nodes.map(({ nodeId }: { nodeId: string }) => nodeId)).toEqual(nodeIds);
    for (const [at, node] of value.nodes.entries()) {
      expect(node).toMatchObject({ state: 'alive', weight: 1 });
      expect(node.answer).toMatchObject({ pid: net.nodes[at]?.pid, isDurable: true });
    }
    const { out } = await call('ls', 'nodes');
    expect(out.split('\n')[0]).toMatch(/^ {2}node +state +address +weight +store +shards +bytes/);
    expect(out).toMatch(/^ {2}node-1 +alive +tcp:\S+ +1 +disk +\d+ /m);
  });

  test('data', async () => {
    const { value } = await json('ls', 'data');
    expect(value.data).toContainEqual({
      dataId: 'book.txt',
      version: 0,
      isWhole: true,
      shards: expect.any(Number),
      bytes: text.length,
      copies: { least: 2, most: 2 },
      nodeIds,
    });
    const { out } = await call('ls', 'data');
    expect(out).toMatch(/^ {2}book\.txt +0 +[\d.]+ KiB +\d+ +2 +node-1, node-2, node-3$/m);
  });

  test('shards', async () => {
    const { value } = await json('ls', 'shards', 'book.txt');
    const [held] = value.data;
    expect(held).toMatchObject({ dataId: 'book.txt', version: 0, isWhole: true });
    const bytes = held.shards.reduce(
      (sum: number, shard: { bytes: number }) => sum + shard.bytes,
      0,
    );
    expect(bytes).toBe(text.length);
    for (const shard of held.shards) expect(shard.nodeIds).toHaveLength(2);
    const { out } = await call('ls', 'shards');
    expect(out).toMatch(/^ {2}book\.txt +0 +0 +0 +\d+ +node-\d, node-\d$/m);
  });

  test.each([
    ['nothing', [], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['something else', ['files'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['too much', ['data', 'book.txt'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['a version of nodes', ['nodes', '--data-version', '1'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['shards of unknown data', ['shards', 'nope'], 1, 'PAIPAI_ERR_UNKNOWN_DATA'],
    [
      'shards of an unknown version',
      ['shards', 'book.txt', '--data-version', '7'],
      1,
      'PAIPAI_ERR_UNKNOWN_DATA',
    ],
  ])('%s is refused', async (_what, args, code, name) => {
    expect(await refusal('ls', args)).toEqual([code, name]);
  });
});

describe('put', () => {
  test('reports what went where, and the file can be had again', async () => {
    const file = join(folder, 'a b.bin');
    writeFileSync(file, text);
    const { end, value } = await json('put', file, '--data-version', '18446744073709551615');
    expect(end).toBe(0);
    expect(value).toMatchObject({
      dataId: 'a b.bin',
      version: '18446744073709551615',
      replicas: 1,
      bytes: text.length,
      shards: 1,
    });
    const { out } = await call('get', 'a b.bin');
    expect(out).toBe(text);
  });

  test('shows a page to people', async () => {
    const { end, out, err } = await call('put', book, '--id', 'page', '--shard-size', '1000');
    expect({ end, err }).toEqual({ end: 0, err: '' });
    expect(out).toMatch(/^ {2}node +shards +bytes +w_i +t_i$/m);
    expect(out).toMatch(/^put data page version 0: [\d.]+ KiB in \d+ shards, /m);
  });

  test('never replaces what is there, unless it is told to', async () => {
    const file = join(folder, 'changed');
    writeFileSync(file, 'before');
    expect((await call('put', file)).end).toBe(0);
    writeFileSync(file, 'after');
    const refused = await json('put', file);
    expect([refused.end, refused.value.error.code]).toEqual([1, 'PAIPAI_ERR_DUPLICATE_ID']);
    expect((await call('get', 'changed')).out).toBe('before');
    expect((await call('put', file, '--data-version', '1')).end).toBe(0);
    expect((await call('get', 'changed')).out).toBe('after');
    expect((await call('get', 'changed', '--data-version', '0')).out).toBe('before');
    expect((await call('put', file, '--force', '--shard-size', '2')).end).toBe(0);
    expect((await call('get', 'changed', '--data-version', '0')).out).toBe('after');
  });

  test('drops nothing, though it is told to, for a file that cannot take the place', async () => {
    const file = join(folder, 'kept');
    writeFileSync(file, 'kept');
    expect((await call('put', file)).end).toBe(0);
    const empty = join(folder, 'empty');
    writeFileSync(empty, '');
    const force = ['--id', 'kept', '--force'];
    for (const [args, code] of [
      [[join(folder, 'missing')], 'PAIPAI_ERR_SOURCE_FAILED'],
      [[empty], 'PAIPAI_ERR_DATA_EMPTY'],
      [[book, '--records', 'lines', '--shard-size', '4'], 'PAIPAI_ERR_RECORD_TOO_LONG'],
      [[book, '--replicas', '4'], 'PAIPAI_ERR_NODE_LOST'],
    ] as const) {
      expect((await refusal('put', [...args, ...force]))[1]).toBe(code);
      expect((await call('get', 'kept')).out).toBe('kept');
    }
  });

  test.each([
    ['no file', [], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['two files', [book, book], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['a file that is not there', ['./nope'], 2, 'PAIPAI_ERR_SOURCE_FAILED'],
    ['a folder', [folder, '--id', 'f'], 2, 'PAIPAI_ERR_SOURCE_FAILED'],
    [
      'too many replicas for this net',
      [book, '--id', 'many', '--replicas', '4'],
      1,
      'PAIPAI_ERR_NODE_LOST',
    ],
    ['no replica', [book, '--replicas', '0'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['an id that is too long', [book, '--id', 'x'.repeat(256)], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['a version below 0', [book, '--data-version=-1'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [
      'a version beyond 64 bits',
      [book, '--data-version', '18446744073709551616'],
      2,
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ],
    ['records of no kind', [book, '--records', 'pages'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['a shard size of 0', [book, '--shard-size', '0'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [
      'a placement of no kind',
      [book, '--id', 'p', '--placement', 'best'],
      2,
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ],
    ['a deadline of 0', [book, '--deadline', '0'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
  ])('%s is refused', async (_what, args, code, name) => {
    expect(await refusal('put', args)).toEqual([code, name]);
  });

  test('does not leave anything with nodes that would lose it', async () => {
    const { address } = await startNet('-n', '2', '--store', 'memory');
    const refused = await json('put', book, '--join', address);
    expect([refused.end, refused.value.error.code]).toEqual([1, 'PAIPAI_ERR_INVALID_STATE']);
    expect(refused.value.error.message).toContain('--store');
    const unknown = await json('process', 'book.txt', 'lines', '--join', address);
    expect([unknown.end, unknown.value.error.code]).toEqual([1, 'PAIPAI_ERR_UNKNOWN_DATA']);
    expect(unknown.value.error.message).toContain('memory');
    expect(await call('ls', 'data', '--join', address)).toEqual({
      end: 0,
      out: '',
      err: 'the nodes hold no data\n',
    });
    expect((await json('plan', book, '--join', address)).end).toBe(0);
  });
});

describe('get', () => {
  test('writes a file, whole or not at all', async () => {
    const path = join(makeFolder(), 'out.txt');
    const { end, value } = await json('get', 'book.txt', path);
    expect(end).toBe(0);
    expect(value).toEqual({
      dataId: 'book.txt',
      version: 0,
      bytes: text.length,
      shards: expect.any(Number),
      file: path,
    });
    expect(readFileSync(path, 'utf8')).toBe(text);
    writeFileSync(path, 'mine');
    const refused = await json('get', 'book.txt', path);
    expect([refused.end, refused.value.error.code]).toEqual([2, 'PAIPAI_ERR_INVALID_ARGUMENT']);
    expect(readFileSync(path, 'utf8')).toBe('mine');
    const forced = await call('get', 'book.txt', path, '--force');
    expect(forced).toMatchObject({ end: 0, err: '' });
    expect(forced.out).toMatch(/^got data book\.txt version 0: [\d.]+ KiB in \S+out\.txt$/m);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  test('is not done with a file on standard output that did not get all of it', async () => {
    expect((await call('put', book, '--id', 'one shard')).end).toBe(0);
    const get = startCli(['get', 'one shard'], { PAIPAINET_JOIN: net.address });
    get.child.stdout?.destroy();
    expect(await get.ended).toMatchObject({
      end: 1,
      err: expect.stringContaining('error EPIPE: '),
    });

    const path = join(folder, 'short');
    const shell = `ulimit -f 2; exec "$@" > '${path}'`; // 1 or 2 KiB of 4.
    const command = ['-c', shell, 'sh', process.execPath, ...cliArguments(['get', 'one shard'])];
    const short = startProgram('/bin/sh', command, { PAIPAINET_JOIN: net.address });
    expect(await short.ended).toMatchObject({
      end: 1,
      err: expect.stringContaining('error EFBIG: '),
    });
    expect(text.startsWith(readFileSync(path, 'utf8'))).toBe(true);
  });

  test.each([
    ['no id', [], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['JSON on standard output', ['book.txt'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['unknown data', ['nope', 'out'], 1, 'PAIPAI_ERR_UNKNOWN_DATA'],
    [
      'an unknown version',
      ['book.txt', 'out', '--data-version', '9'],
      1,
      'PAIPAI_ERR_UNKNOWN_DATA',
    ],
    ['a folder that is not there', ['book.txt', 'no/where/out'], 1, 'ENOENT'],
  ])('%s is refused', async (_what, args, code, name) => {
    expect(await refusal('get', args)).toEqual([code, name]);
    expect(existsSync('out')).toBe(false);
  });
});

describe('process', () => {
  test('prints the value, and all about it as JSON', async () => {
    const { end, out, err } = await call('process', 'book.txt', 'lines');
    expect({ end, out }).toEqual({ end: 0, out: '400\n' });
    expect(err).toMatch(/^lines over \d+ shards, [\d.]+ KiB, on 3 nodes in /);
    const { value } = await json('process', 'book.txt', 'lines');
    expect(value).toMatchObject({ dataId: 'book.txt', version: 0, handler: 'lines', value: 400 });
    expect(value.report.perNode).toHaveLength(3);
    const digest = await json('process', 'book.txt', 'digest');
    expect(digest.value.value.bytes).toBe(text.length);
    const bytes = await json('process', 'book.txt', 'bytes');
    expect(bytes.value.value).toEqual({ base64: expect.any(String) });
    const told = ['--strategy', 'p2cEwma', '--concurrency', '1', '--retries', '2'];
    expect((await call('process', 'book.txt', 'lines', ...told)).out).toBe('400\n');
  });

  test.each([
    ['no handler', ['book.txt'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ...[
      ['--strategy', 'fastest'],
      ['--concurrency', '0'],
      ['--retries', 'some'],
    ].map((wrong): [string, string[], number, string] => [
      wrong.join(' '),
      ['book.txt', 'lines', ...wrong],
      2,
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ]),
    ['an unknown handler', ['book.txt', 'nope'], 1, 'PAIPAI_ERR_HANDLER_UNKNOWN'],
    ['unknown data', ['nope', 'lines'], 1, 'PAIPAI_ERR_UNKNOWN_DATA'],
    [
      'args that are no JSON',
      ['book.txt', 'lines', '--args', '{'],
      2,
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ],
    [
      'a handler that throws',
      ['book.txt', 'lines', '--args', '{"fail":true}'],
      1,
      'PAIPAI_ERR_HANDLER_FAILED',
    ],
  ])('%s is refused', async (_what, args, code, name) => {
    expect(await refusal('process', args)).toEqual([code, name]);
  });
});

describe('mapreduce', () => {
  const counts = new Map<string, number>();
  for (const [word] of text.matchAll(/\w+/g)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const job = ['--map', 'words', '--reduce', 'sum'];

  test('prints a line for each key, and all about it as JSON', async () => {
    const { end, out, err } = await call('mapreduce', 'book.txt', ...job, '--combine', 'sum');
    const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    expect({ end, out }).toEqual({
      end: 0,
      out: sorted.map(([word, count]) => `${word}\t${count}\n`).join(''),
    });
    expect(err).toMatch(/^5 keys from \d+ shards, /);
    const { value } = await json('mapreduce', 'book.txt', ...job, '--partitions', '2');
    expect(value).toMatchObject({ dataId: 'book.txt', version: 0 });
    expect(value.value).toEqual(Object.fromEntries(counts));
    expect(value.report).toMatchObject({ keys: 5, partitions: 2 });
  });

  test.each([
    ['no map', ['book.txt', '--reduce', 'sum'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['no reduce', ['book.txt', '--map', 'words'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [
      'an unknown map',
      ['book.txt', '--map', 'no', '--reduce', 'sum'],
      1,
      'PAIPAI_ERR_HANDLER_UNKNOWN',
    ],
    ['unknown data', ['nope', ...job], 1, 'PAIPAI_ERR_UNKNOWN_DATA'],
    [
      'too many parts',
      ['book.txt', ...job, '--partitions', '1025'],
      2,
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ],
    [
      'too little memory',
      ['book.txt', ...job, '--memory', '1000'],
      2,
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ],
  ])('%s is refused', async (_what, args, code, name) => {
    expect(await refusal('mapreduce', args)).toEqual([code, name]);
  });
});

describe('plan and explain', () => {
  const cut = ['--replicas', '2', '--shard-size', '500', '--records', 'lines'];

  test('a plan says where put then sends the shards, and explain where they are', async () => {
    const { value: plan } = await json('plan', book, '--id', 'planned', ...cut);
    expect(plan).toMatchObject({ dataId: 'planned', version: 0, replicas: 2, bytes: text.length });
    expect((await json('ls', 'shards', 'planned')).value.error.code).toBe(
      'PAIPAI_ERR_UNKNOWN_DATA',
    );
    expect((await call('put', book, '--id', 'planned', ...cut)).end).toBe(0);
    const { value: explained } = await json('explain', 'planned');
    expect(explained).toMatchObject({ dataId: 'planned', version: 0, replicas: 2 });
    const places = (shards: { nodeIds: string[] }[]): string[] =>
      shards.map(({ nodeIds: ids }) => [...ids].sort().join());
    expect(places(explained.shards)).toEqual(places(plan.shards));
    expect(explained.shards.every((shard: { missing: number }) => shard.missing === 0)).toBe(true);
    const { value: wanting } = await json('explain', 'planned', '--replicas', '3');
    expect(wanting.shards.every((shard: { missing: number }) => shard.missing === 1)).toBe(true);
  });

  test('have pages for people', async () => {
    const plan = await call('plan', book, ...cut);
    expect(plan).toMatchObject({ end: 0, err: '' });
    expect(plan.out).toMatch(/^ {2}shard +offset +bytes +nodes\n +0 +0 +\d+ +node-\d, node-\d$/m);
    expect(plan.out).toMatch(/ in \d+ shards over 3 nodes; nothing was moved$/m);
    const explained = await call('explain', 'book.txt');
    expect(explained.out).toMatch(/^ {2}shard +offset +bytes +lies on +belongs to +missing$/m);
    expect(explained.out).toMatch(/^data book\.txt version 0: \d+ shards, 2 copies .* 0 missing$/m);
  });

  test.each([
    ['plan', [], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['plan', ['./nope'], 2, 'PAIPAI_ERR_SOURCE_FAILED'],
    ['plan', [book, '--replicas', '4'], 1, 'PAIPAI_ERR_NODE_LOST'],
    ['plan', [book, '--shard-size', 'x'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['explain', [], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['explain', ['nope'], 1, 'PAIPAI_ERR_UNKNOWN_DATA'],
    ['explain', ['book.txt', '--replicas', '17'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
  ] as const)('%s %j is refused', async (command, args, code, name) => {
    expect(await refusal(command, args)).toEqual([code, name]);
  });
});

test('data of which a part is gone are said to be so, and not taken for another version', async () => {
  const { address, nodes } = await startNet('-n', '2');
  const inNet = ['--join', address];
  const cut = ['--id', 'd', '--shard-size', '500'];
  expect((await call('put', book, ...cut, '--replicas', '2', ...inNet)).end).toBe(0);
  expect((await call('put', book, ...cut, '--data-version', '1', ...inNet)).end).toBe(0);
  process.kill(nodes[1]?.pid ?? 0, 'SIGKILL');
  await started.at(-1)?.seen(/"event":"ended"/);
  // Until the others have noticed, it is called in vain.
  const isDead = async (): Promise<boolean> => {
    const { value } = await json('ls', 'nodes', ...inNet);
    return value.nodes[1].state === 'dead';
  };
  while (!(await isDead()));

  const { end, value } = await json('get', 'd', 'never', ...inNet);
  expect(end).toBe(1);
  expect(value.error).toMatchObject({ code: 'PAIPAI_ERR_SHARD_INCOMPLETE', dataId: 'd' });
  expect(existsSync('never')).toBe(false);
  expect((await call('get', 'd', '--data-version', '0', ...inNet)).out).toBe(text);
  const listed = (await json('ls', 'data', ...inNet)).value.data;
  expect(listed.map(({ isWhole }: { isWhole: boolean }) => isWhole)).toEqual([true, false]);
  expect((await call('ls', 'data', ...inNet)).out).toMatch(/ not whole$/m);
  const refused = await json('put', book, ...cut, '--data-version', '1', ...inNet);
  expect(refused.value.error.message).toContain('but not whole');
  const again = await call('put', book, ...cut, '--data-version', '1', '--force', ...inNet);
  expect(again.end).toBe(0);
  expect(again.err).toMatch(/^node node-2 of this net cannot be asked what is there of data d /);

  // It may hold data of which nobody else does.
  const hidden = await json('put', book, '--id', 'new', ...inNet);
  expect([hidden.end, hidden.value.error.code]).toEqual([1, 'PAIPAI_ERR_NODE_LOST']);
  expect(hidden.value.error).toMatchObject({ nodeId: 'node-2', dataId: 'new' });
  expect((await json('ls', 'shards', 'new', ...inNet)).value.error.code).toBe(
    'PAIPAI_ERR_UNKNOWN_DATA',
  );
  expect((await call('put', book, '--id', 'new', '--force', ...inNet)).end).toBe(0);
  expect((await call('get', 'd', ...inNet)).out).toBe(text);
});

describe('every command', () => {
  test('ends at its deadline, with the handlers that it began', async () => {
    const hang = ['--args', '{"hang":true}', '--deadline', '1'];
    expect(await refusal('process', ['book.txt', 'lines', ...hang])).toEqual([
      1,
      'PAIPAI_ERR_DEADLINE',
    ]);
    expect((await call('process', 'book.txt', 'lines')).out).toBe('400\n');
  });

  const calls = [
    ['ls', ['nodes']],
    ['ls', ['data']],
    ['put', [book]],
    ['get', ['book.txt', join(folder, 'never')]],
    ['process', ['book.txt', 'lines']],
    ['mapreduce', ['book.txt', '--map', 'words', '--reduce', 'sum']],
    ['explain', ['book.txt']],
    ['plan', [book]],
  ] as const;

  test.each([
    ['process', ['book.txt', 'lines', '--strategy', 'fastest']],
    ['put', [book, '--placement', 'nearest']],
    ['explain', ['book.txt', '--replicas', '0']],
  ] as const)('%s %j is refused before anybody is asked', async (name, args) => {
    const elsewhere = ['--join', `tcp://127.0.0.1:${await quietPort()}`];
    expect(await refusal(name, [...args, ...elsewhere])).toEqual([
      2,
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ]);
  });

  test.each(calls)('%s %j says that nobody is there to join', async (name, args) => {
    const elsewhere = ['--join', `tcp://127.0.0.1:${await quietPort()}`];
    expect(await refusal(name, [...args, ...elsewhere])).toEqual([1, 'PAIPAI_ERR_NODE_START']);
    expect(readdirSync(folder)).not.toContain('never');
  });

  test.each(calls)('%s %j needs the secret that the net has, and its name', async (name, args) => {
    const secret = { PAIPAINET_SECRET: 'not the one of the net' };
    expect(await refusal(name, args, secret)).toEqual([1, 'PAIPAI_ERR_SECRET']);
    expect(await refusal(name, [...args, '--name', 'other'])).toEqual([1, 'PAIPAI_ERR_NET_NAME']);
  });

  test('says in one line of text what went wrong, and what to do', async () => {
    const { end, out, err } = await call('explain', 'nope');
    expect({ end, out }).toEqual({ end: 1, out: '' });
    expect(err).toMatch(/^error PAIPAI_ERR_UNKNOWN_DATA: [^\n]+\n {2}What to do: [^\n]+\n$/);
  });

  test('takes the first node that answers of those in PAIPAINET_JOIN', async () => {
    const PAIPAINET_JOIN = `tcp://127.0.0.1:${await quietPort()}, ${net.address}`;
    expect(await runCli(['get', 'book.txt'], { PAIPAINET_JOIN })).toMatchObject({ out: text });
    const wrong = await runCli(['ls', 'data'], { PAIPAINET_JOIN: 'here' });
    expect(wrong.end).toBe(2);
    expect(wrong.err).toContain('error PAIPAI_ERR_INVALID_ADDRESS: ');
  });
});
