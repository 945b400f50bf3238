import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Data, Net, Node, type PaipaiError } from '../../dist/index.js';
import { isAlive, noise, startNet } from '../main-job/nets.js';
import { makeFolder } from '../support/folders.js';
import { whyNoMount } from '../support/mounts.js';
import { NodeProcess, paipainet } from '../support/node-process.mjs';
import { runCli } from '../unit/cli/run-cli.js';

/** Days on which nodes in processes of their own meet what nobody wishes for: a full disk, a store of another release, a handler with a flaw. */

const timeout = 60_000;
const kinds = ['lmdb', 'files'] as const;

async function startOn(store: string, command = paipainet): Promise<NodeProcess> {
  const node = await NodeProcess.start(['--store', store], { command });
  onTestFinished(() => node.kill());
  return node;
}

async function netWith(...nodes: readonly NodeProcess[]): Promise<Net> {
  const net = new Net();
  onTestFinished(() => net.close());
  for (const [at, { address }] of nodes.entries()) net.addNode(new Node(at + 1, { address }));
  await net.start();
  return net;
}

describe.for(kinds)('a node whose disk is full, on %s', { timeout }, (kind) => {
  test('says so, keeps what it has, and goes on when there is room', async (context) => {
    const reason = whyNoMount();
    context.skip(reason !== undefined, reason);
    const folder = join(makeFolder(), 'm');
    mkdirSync(folder);
    const mount =
      'mount -t tmpfs -o size=32m none "$0" && head -c 18000000 /dev/zero > "$0/ballast" && exec "$@"';
    const command = ['unshare', '-m', 'sh', '-c', mount, folder, ...paipainet];
    const node = await startOn(`${kind}:${join(folder, 's')}`, command);
    const net = await netWith(node);

    const small = new Data('small', noise(4_000_000, 1), { shardBytes: 100_000 });
    const large = new Data('large', noise(13_000_000, 2), { shardBytes: 100_000 });
    net.addData(small).addData(large);
    await net.transfer(small);
    await expect(net.transfer(large)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_STORE_FULL',
      nodeId: '1',
    });
    expect(isAlive(node.pid)).toBe(true);
    expect(Buffer.compare(await net.read(small), noise(4_000_000, 1))).toBe(0);
    expect((await net.process(small)).value).toMatchObject({ bytes: 4_000_000, shards: 40 });

    // Nobody but the node sees its disk.
    rmSync(join(`/proc/${node.pid}/root`, folder, 'ballast'));
    await net.transfer(large);
    expect(Buffer.compare(await net.read(large), noise(13_000_000, 2))).toBe(0);
    expect(Buffer.compare(await net.read(small), noise(4_000_000, 1))).toBe(0);
    expect(isAlive(node.pid)).toBe(true);
  });
});

describe.for(kinds)('a store in %s', { timeout }, (kind) => {
  test('of a newer release is refused by a node, and left as it is', async () => {
    const folder = join(makeFolder(), 's');
    const store = `${kind}:${folder}`;
    const node = await startOn(store);
    const net = await netWith(node);
    const data = new Data('d', noise(100_000), { shardBytes: 10_000 });
    net.addData(data);
    await net.transfer(data);
    await net.close();
    await node.kill('SIGTERM');
    const format = join(folder, 'format.json');
    const { version, ...rest } = JSON.parse(readFileSync(format, 'utf8'));
    writeFileSync(format, JSON.stringify({ ...rest, version: version + 1 }));
    const contentOf = (): string[] =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'lock.mdb')
        .map((entry) => readFileSync(join(entry.parentPath, entry.name)).toString('latin1'));
    const before = contentOf();
    const { end, err } = await runCli(['node', '--listen', 'tcp://127.0.0.1:0', '--store', store]);
    expect(end).toBe(1);
    expect(err).toContain('error PAIPAI_ERR_STORE_FORMAT: ');
    expect(err).toContain(`format ${version + 1}`);
    expect(contentOf()).toEqual(before);
  });
});

test('a handler that throws on one shard in a thousand fails the call, says on which, and costs no node', async () => {
  const { net, pids } = await startNet(3);
  const data = new Data('d', 3_000, { shardBytes: 1 });
  net.addData(data);
  await net.transfer(data);
  const failed = net.process(data, 'throwsOnOneIn', { args: 1_000 });
  const error = await failed.catch((thrown: unknown) => thrown as PaipaiError);
  const { cause } = error as PaipaiError;
  const errors = cause instanceof AggregateError ? cause.errors : [error];
  expect(errors.length).toBeLessThanOrEqual(3);
  for (const one of errors) {
    expect(one).toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_FAILED',
      handler: 'throwsOnOneIn',
      nodeId: expect.stringMatching(/^[123]$/),
      message: expect.stringContaining(`no luck with shard ${one.shardIndex}`),
    });
    expect([999, 1_999, 2_999]).toContain(one.shardIndex);
  }
  expect(pids.every(isAlive)).toBe(true);
  const { value } = await net.process(data, 'throwsOnOneIn', { args: 10_000 });
  expect(value).toEqual(Array.from({ length: 3_000 }, (_, index) => index));
});
