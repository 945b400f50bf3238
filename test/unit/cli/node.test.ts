import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Data, Net, Node } from '../../../dist/index.js';
import { openDurableStore } from '../../../dist/store/open-store.js';
import { type RunningCli, runCli, startCli } from './run-cli.js';

let folder: string;
let handlers: string;
const started: RunningCli[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'paipainet-node-'));
  handlers = join(folder, 'handlers.mjs');
  writeFileSync(
    handlers,
    'export function total(shard) { return shard.reduce((sum, byte) => sum + byte, 0); }\ntotal.merge = (a, b) => a + b;\n',
  );
});
afterAll(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ ended }) => ended));
  rmSync(folder, { recursive: true, force: true });
});

interface Announcement {
  address: string;
  nodeId: string;
  engine: string;
  pid: number;
}

async function startNode(
  args: readonly string[],
  variables: NodeJS.ProcessEnv = {},
): Promise<{ node: RunningCli; said: Announcement }> {
  const node = startCli(['node', '--json', ...args], variables);
  started.push(node);
  const [line] = await node.seen(/^.*\n/);
  return { node, said: JSON.parse(line) };
}

const local = ['--listen', 'tcp://127.0.0.1:0'];
const timeout = 30_000;

async function totalOn(address: string, secret?: string): Promise<unknown> {
  const net = new Net(secret === undefined ? {} : { secret });
  try {
    net.addNode(new Node('far', { address }));
    const data = new Data('d', new Uint8Array([1, 2, 3, 4]), { shardBytes: 3 });
    net.addData(data);
    await net.start();
    return (await net.process(data, 'total')).value;
  } finally {
    await net.close();
  }
}

describe('paipainet node', () => {
  test('runs a node that another process adds by its address', { timeout }, async () => {
    const { node, said } = await startNode([...local, '--handlers', handlers, '--id', 'n1']);
    expect(said).toEqual({
      address: expect.stringMatching(/^tcp:\/\/127\.0\.0\.1:\d+$/),
      nodeId: 'n1',
      engine: expect.stringMatching(/^(native|js)$/),
      pid: node.child.pid,
    });
    expect(await totalOn(said.address)).toBe(10);
    expect(await totalOn(said.address)).toBe(10);
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('stops cleanly on %s', { timeout }, async (signal, code) => {
    const { node } = await startNode(local);
    node.child.kill(signal);
    expect(await node.ended).toMatchObject({ end: code, err: '' });
  });

  test('tells people where it listens', { timeout }, async () => {
    const node = startCli(['node', ...local, '--id', 'n2']);
    started.push(node);
    await node.seen(/^node n2 listens on tcp:\/\/127\.0\.0\.1:\d+ \(engine \w+, pid \d+\)\n$/);
  });

  test('takes the secret from a file, without its line end, or from the environment', {
    timeout,
  }, async () => {
    const file = join(folder, 'secret');
    writeFileSync(file, 'open sesame, please\n');
    const options = [...local, '--handlers', handlers];
    const fromFile = await startNode([...options, '--secret-file', file]);
    const fromVariable = await startNode(options, { PAIPAINET_SECRET: 'open sesame, please' });
    for (const { said } of [fromFile, fromVariable]) {
      expect(await totalOn(said.address, 'open sesame, please')).toBe(10);
      await expect(totalOn(said.address, 'something else entirely')).rejects.toMatchObject({
        code: 'PAIPAI_ERR_SECRET',
      });
    }
  });

  test.each([
    [
      'an address of the wrong form',
      ['--listen', 'http://localhost'],
      2,
      'PAIPAI_ERR_INVALID_ADDRESS',
    ],
    [
      'the world, without a secret',
      ['--listen', 'tcp://0.0.0.0:0'],
      2,
      'PAIPAI_ERR_INSECURE_ADDRESS',
    ],
    [
      'handlers that are not there',
      [...local, '--handlers', './nope.mjs'],
      2,
      'PAIPAI_ERR_HANDLER_MODULE',
    ],
    [
      'a secret that is not there',
      [...local, '--secret-file', './nope'],
      2,
      'PAIPAI_ERR_SOURCE_FAILED',
    ],
    ['a store of no kind', [...local, '--store', 'here'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [
      'a limit without a disk',
      [...local, '--store-limit', '2000000'],
      2,
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ],
    [
      'a limit that is none',
      [...local, '--store', 'files:s', '--store-limit', '2MB'],
      2,
      'PAIPAI_ERR_INVALID_ARGUMENT',
    ],
  ])('refuses %s', { timeout }, async (_name, args, code, name) => {
    const { end, out, err } = await runCli(['node', ...args]);
    expect({ end, out }).toEqual({ end: code, out: '' });
    expect(err).toContain(`error ${name}: `);
  });

  test.each(['lmdb', 'files'])('keeps shards in %s', { timeout }, async (kind) => {
    const path = join(folder, kind);
    const store = ['--store', `${kind}:${path}`, '--store-limit', '2000000'];
    const { node, said } = await startNode([...local, '--handlers', handlers, ...store]);
    expect(await totalOn(said.address)).toBe(10);
    const second = await runCli(['node', ...local, ...store]);
    expect(second).toMatchObject({ end: 1, out: '' });
    expect(second.err).toContain('error PAIPAI_ERR_STORE_IN_USE: ');
    node.child.kill('SIGTERM');
    await node.ended;
    const opened = await openDurableStore(kind === 'lmdb' ? { lmdb: path } : { files: path }, {});
    expect(opened.usage()).toMatchObject({ shards: 2, bytes: 4 });
    await opened.close();
  });

  test('says which address is in use', { timeout }, async () => {
    const { said } = await startNode(local);
    const { end, err } = await runCli(['node', '--listen', said.address]);
    expect(end).toBe(1);
    expect(err).toContain('EADDRINUSE');
  });
});
