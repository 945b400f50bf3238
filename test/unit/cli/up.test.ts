import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { reached } from '../../main-job/nets.js';
import { makeFolder } from '../../support/folders.js';
import { quietPort } from '../../support/quiet-port.js';
import { isAlive, type RunningCli, runCli, startCli } from './run-cli.js';

interface UpNode {
  nodeId: string;
  address: string;
  pid: number;
}

interface Up {
  readonly up: RunningCli;
  readonly address: string;
  readonly nodes: readonly UpNode[];
  /** Where its temporary files go. */
  readonly folder: string;
  readonly store: unknown;
}

const started: RunningCli[] = [];
afterEach(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ ended }) => ended));
});

const anyPort = ['--listen', 'tcp://127.0.0.1:0'];

async function startUp(...args: string[]): Promise<Up> {
  const folder = makeFolder();
  const up = startCli(['up', '--json', ...anyPort, ...args], { TMPDIR: folder });
  started.push(up);
  const [line] = await up.seen(/^.*\n/);
  const { address, nodes, store } = JSON.parse(line);
  return { up, address, nodes, folder, store };
}

const areGone = (nodes: readonly UpNode[]): Promise<boolean> =>
  reached(10_000, () => nodes.every(({ pid }) => !isAlive(pid)));

describe('paipainet up', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('runs a net until %s, and leaves nothing behind', async (signal, code) => {
    const { up, address, nodes, folder } = await startUp('-n', '3');
    expect(nodes.map(({ nodeId }) => nodeId)).toEqual(['node-1', 'node-2', 'node-3']);
    expect(nodes[0]?.address).toBe(address);
    const { out } = await runCli(['ls', 'nodes', '--json', '--join', address]);
    const listed: UpNode[] = JSON.parse(out).nodes;
    expect(listed.map(({ nodeId }) => nodeId)).toEqual(['node-1', 'node-2', 'node-3']);
    expect(listed.map((node) => node.address)).toEqual(nodes.map((node) => node.address));
    up.child.kill(signal);
    const ended = await up.ended;
    expect(ended).toMatchObject({ end: code, err: '' });
    // Nobody is told that nodes leave which are sent away.
    expect(ended.out.trim().split('\n')).toHaveLength(1);
    expect(nodes.some(({ pid }) => isAlive(pid))).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('says who has died, goes on with the others, and ends when all have', async () => {
    const { up, nodes } = await startUp('--nodes', '2');
    const [first, second] = nodes;
    process.kill(first?.pid ?? 0, 'SIGKILL');
    const [line] = await up.seen(/^.*"event":"ended".*\n/m);
    expect(JSON.parse(line)).toEqual({
      event: 'ended',
      ...first,
      how: 'signal SIGKILL',
      rest: [second],
    });
    const { end, out } = await runCli(['ls', 'nodes', '--json', '--join', second?.address ?? '']);
    expect(end).toBe(0);
    expect(JSON.parse(out).nodes).toHaveLength(2);
    process.kill(second?.pid ?? 0, 'SIGKILL');
    const ended = await up.ended;
    expect(ended.end).toBe(1);
    expect(ended.err).toContain('error PAIPAI_ERR_NODE_LOST: every node of the net has ended');
  });

  test('goes on when nobody reads what it says any more', async () => {
    const handlers = join(makeFolder(), 'handlers.mjs');
    writeFileSync(
      handlers,
      `export function print() {
        console.log('x'.repeat(100_000));
        return 1;
      }
      print.merge = (a, b) => a + b;`,
    );
    const { up, address, nodes, folder } = await startUp('-n', '2', '--handlers', handlers);
    const [first, second] = nodes;
    up.child.stdout?.destroy();
    const inNet = ['--join', address];
    const put = ['put', handlers, '--id', 'd', '--shard-size', '9'];
    for (const command of [put, ['process', 'd', 'print'], ['get', 'd']]) {
      expect(await runCli([...command, ...inNet])).toMatchObject({ end: 0 });
    }
    process.kill(first?.pid ?? 0, 'SIGKILL');
    // By the time that the other one has given it up, its end has been told.
    const isDead = async (): Promise<boolean> => {
      const ls = ['ls', 'nodes', '--json', '--join', second?.address ?? ''];
      const { end, out } = await runCli(ls);
      expect(end).toBe(0);
      return JSON.parse(out).nodes[0].state === 'dead';
    };
    while (!(await isDead()));
    expect(up.child.exitCode).toBe(null);
    up.child.kill('SIGTERM');
    expect((await up.ended).end).toBe(143);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('ends at once when it is asked twice, and leaves nothing behind', async () => {
    const { up, nodes, folder } = await startUp('-n', '3');
    // Nodes that do not hear that they shall end keep it waiting.
    for (const { pid } of nodes) process.kill(pid, 'SIGSTOP');
    up.child.kill('SIGINT');
    up.child.kill('SIGTERM');
    // Of two that come in one moment the process may hear of either first.
    expect([130, 143]).toContain((await up.ended).end);
    expect(readdirSync(folder)).toEqual([]);
    expect(await areGone(nodes)).toBe(true);
  });

  test('says who joins from elsewhere, and who leaves', async () => {
    const { up, address } = await startUp('-n', '2');
    const guest = startCli(['node', ...anyPort, '--id', 'guest', '--join', address]);
    started.push(guest);
    const [joined] = await up.seen(/^.*"event":"join".*\n/m);
    expect(JSON.parse(joined)).toMatchObject({ event: 'join', nodeId: 'guest', weight: 1 });
    guest.child.kill('SIGTERM');
    const [left] = await up.seen(/^.*"event":"leave".*\n/m);
    expect(JSON.parse(left)).toMatchObject({ event: 'leave', nodeId: 'guest' });
  });

  test('is a page that people can read', async () => {
    const folder = makeFolder();
    const up = startCli(['up', '-n', '2', ...anyPort], { TMPDIR: folder });
    started.push(up);
    const [, address] = await up.seen(/^up: 2 nodes; join them at (tcp:\S+)\nshards lie in .*\n/m);
    const [, pid, own] = await up.seen(
      /^node node-1 listens on \S+ \(pid (\d+)\)\nnode node-2 listens on (\S+) /m,
    );
    process.kill(Number(pid), 'SIGKILL');
    await up.seen(/^node node-1 \(pid \d+\) ended with signal SIGKILL; 1 go on\n/m);
    await up.seen(new RegExp(`^join them at ${own} from now on\n`, 'm'));
    expect(own).not.toBe(address);
  });

  test('whose process is killed takes its nodes with it', async () => {
    const { up, nodes } = await startUp('-n', '2');
    up.child.kill('SIGKILL');
    await up.ended;
    expect(await areGone(nodes)).toBe(true);
  });

  test.each(['lmdb', 'files'])('finds again what lies in its folder (%s)', async (kind) => {
    const store = join(makeFolder(), 'deep', 'store');
    const file = join(makeFolder(), 'data.txt');
    writeFileSync(file, 'one\ntwo\nthree\n');
    const args = ['-n', '2', '--store', `${kind}:${store}`];
    const before = await startUp(...args);
    expect(before.store).toEqual({ [kind]: store });
    const join1 = ['--join', before.address];
    const put = await runCli(['put', file, '--shard-size', '4', ...join1]);
    expect(put).toMatchObject({ end: 0, err: '' });
    before.up.child.kill('SIGTERM');
    await before.up.ended;
    expect(readdirSync(store).sort()).toEqual(['node-1', 'node-2']);

    const after = await startUp(...args);
    const got = await runCli(['get', 'data.txt', '--join', after.address]);
    expect(got).toEqual({ end: 0, out: 'one\ntwo\nthree\n', err: '' });
    const second = await runCli(['up', ...anyPort, ...args]);
    expect(second).toMatchObject({ end: 1, out: '' });
    expect(second.err).toContain('error PAIPAI_ERR_STORE_IN_USE: ');
  });

  test('keeps to its secret', async () => {
    const file = join(makeFolder(), 'secret');
    writeFileSync(file, 'open sesame, please\n');
    const { address } = await startUp('-n', '2', '--secret-file', file);
    const ls = ['ls', 'nodes', '--json', '--join', address];
    const right = await runCli([...ls, '--secret-file', file]);
    expect(JSON.parse(right.out).nodes).toHaveLength(2);
    const wrong = await runCli(ls, { PAIPAINET_SECRET: 'something else entirely' });
    expect(wrong.end).toBe(1);
    expect(JSON.parse(wrong.out).error.code).toBe('PAIPAI_ERR_SECRET');
  });

  test.each([
    ['no node', ['-n', '0'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['too many', ['-n', '65'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['a Unix socket', ['--listen', 'unix:///tmp/x'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['an address of no kind', ['--listen', 'here'], 2, 'PAIPAI_ERR_INVALID_ADDRESS'],
    ['every address', ['--listen', 'tcp://0.0.0.0:0'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    ['every address of IPv6', ['--listen', 'tcp://[::]:0'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [
      'another machine than this, without a secret',
      ['--listen', 'tcp://192.0.2.1:0'],
      2,
      'PAIPAI_ERR_INSECURE_ADDRESS',
    ],
    [
      'handlers that are not there',
      [...anyPort, '--handlers', './no.mjs'],
      2,
      'PAIPAI_ERR_HANDLER_MODULE',
    ],
    ['a store of no kind', [...anyPort, '--store', 'here'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
    [
      'a secret that is not there',
      [...anyPort, '--secret-file', './no'],
      2,
      'PAIPAI_ERR_SOURCE_FAILED',
    ],
    ['an argument', ['here'], 2, 'PAIPAI_ERR_INVALID_ARGUMENT'],
  ])('refuses %s', async (_what, args, code, name) => {
    const folder = makeFolder();
    const { end, out, err } = await runCli(['up', ...args], { TMPDIR: folder });
    expect({ end, out }).toEqual({ end: code, out: '' });
    expect(err).toContain(`error ${name}: `);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('says that its address is taken, or that a folder is no store', async () => {
    const port = await quietPort();
    const address = `tcp://127.0.0.1:${port}`;
    const node = startCli(['node', '--listen', address]);
    started.push(node);
    await node.seen(/listens/);
    const taken = await runCli(['up', '--listen', address]);
    expect(taken.end).toBe(1);
    expect(taken.err).toMatch(/error PAIPAI_ERR_NODE_START: .*EADDRINUSE/);

    const folder = makeFolder();
    mkdirSync(join(folder, 'node-2'));
    writeFileSync(join(folder, 'node-2', 'mine'), '');
    const foreign = await runCli(['up', '-n', '2', ...anyPort, '--store', `files:${folder}`]);
    expect(foreign.end).toBe(1);
    expect(foreign.err).toContain('error PAIPAI_ERR_STORE_FORMAT: ');
    expect(existsSync(join(folder, 'node-2', 'mine'))).toBe(true);
  });
});
