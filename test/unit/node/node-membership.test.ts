import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findMembers } from '../../../dist/node/find-members.js';
import { checkMembership, type MembershipConfig } from '../../../dist/node/node-membership.js';
import { createRealEnv } from '../../../dist/node/real-env.js';
import type { RunningNode } from '../../../dist/node/runtime.js';
import { selectEngine } from '../../../dist/node/select-network.js';
import { type RunNodeOptions, runNode } from '../../../dist/node/serve.js';
import { ownTmpdir, reached } from '../../main-job/nets.js';
import { quietPort } from '../../support/quiet-port.js';
import { codeOf, codeThrown } from '../../support/session-pair.js';

const local = 'tcp://127.0.0.1:0';
const secret = 'open sesame, please';

async function start(options: Partial<RunNodeOptions> = {}): Promise<RunningNode> {
  const node = await runNode({ listen: local, ...options });
  onTestFinished(() => node.close());
  return node;
}

const list = (seeds: readonly string[], options: { secret?: string } = {}) =>
  findMembers({ ...createRealEnv(), network: selectEngine('auto').network }, seeds, {
    nodeId: 'who asks',
    netName: 'default',
    ...options,
  });

describe('a node on TCP', () => {
  test('is a net of its own, which others join, and says to anybody who is in it', async () => {
    const a = await start({ nodeId: 'a', weight: 2.5 });
    expect(a.members()).toMatchObject([{ nodeId: 'a', address: a.address, weight: 2.5 }]);
    const joins: string[] = [];
    a.events.on('join', ({ nodeId }) => joins.push(nodeId));
    const b = await start({ nodeId: 'b', join: [a.address] });
    expect(b.joinProblem).toBeNull();
    expect(await reached(10_000, () => joins.includes('b'))).toBe(true);
    const listed = await list(['tcp://127.0.0.1:1', a.address]);
    expect(listed).toEqual(a.members());
    expect(listed).toMatchObject([
      { nodeId: 'a', state: 'alive', address: a.address, weight: 2.5 },
      { nodeId: 'b', state: 'alive', address: b.address, weight: 1 },
    ]);
    const leaves: string[] = [];
    a.events.on('leave', ({ nodeId }) => leaves.push(nodeId));
    await b.close();
    expect(await b.closed).toBeNull();
    expect(await reached(10_000, () => leaves.includes('b'))).toBe(true);
  });

  test('that is alone is closed without waiting for anybody', async () => {
    const a = await start();
    const startMs = performance.now();
    await a.close();
    expect(performance.now() - startMs).toBeLessThan(900); // A goodbye takes a second.
  });

  test('gets its datagrams elsewhere when somebody has its port', async () => {
    const other = createSocket('udp4');
    onTestFinished(() => void other.close());
    // Not one that the system hands out: the same of TCP may be taken.
    const port = await quietPort();
    other.bind(port, '127.0.0.1');
    await once(other, 'listening');
    const a = await start({ nodeId: 'a', listen: `tcp://127.0.0.1:${port}` });
    const b = await start({ nodeId: 'b', join: [a.address] });
    expect(await reached(10_000, () => a.members().length === 2)).toBe(true);
    expect(b.members().map(({ nodeId }) => nodeId)).toEqual(['b', 'a']);
  });

  test('by a host name says the address behind it', async () => {
    const a = await start({ listen: 'tcp://localhost:0' });
    expect(a.members()[0]?.address).toMatch(/^tcp:\/\/(127\.0\.0\.1|\[::1\]):\d+$/);
  });

  test('on every address is a member at the one that it advertises', async () => {
    const options = { listen: 'tcp://0.0.0.0:0', secret };
    const a = await start({ ...options, nodeId: 'a', advertise: 'tcp://127.0.0.1:0' });
    const { port } = new URL(a.address.replace('tcp:', 'http:'));
    expect(a.members()).toMatchObject([{ address: `tcp://127.0.0.1:${port}` }]);
    await start({ secret, nodeId: 'b', join: [`tcp://127.0.0.1:${port}`] });
    expect(await reached(10_000, () => a.members().length === 2)).toBe(true);
  });

  test('on every address without one is no member, and says so to who asks', async () => {
    const options = { listen: 'tcp://0.0.0.0:0', secret };
    const node = await start(options);
    expect(node.members()).toEqual([]);
    const address = node.address.replace('0.0.0.0', '127.0.0.1');
    await expect(list([address], { secret })).rejects.toMatchObject({
      code: 'PAIPAI_ERR_INVALID_STATE',
      message: expect.stringContaining('advertise'),
    });
    expect(await codeOf(runNode({ ...options, listen: local, join: [address] }))).toBe(
      'PAIPAI_ERR_INVALID_STATE',
    );
    expect(await codeOf(runNode({ ...options, join: [address] }))).toBe(
      'PAIPAI_ERR_INVALID_ARGUMENT',
    );
  });

  test('asked for a seed that is none fails with what stands there', async () => {
    const stranger = await start({ secret });
    expect(await codeOf(runNode({ listen: local, join: [stranger.address] }))).toBe(
      'PAIPAI_ERR_SECRET',
    );
    expect(await codeOf(list([stranger.address]))).toBe('PAIPAI_ERR_SECRET');
    expect(await codeOf(list(['tcp://127.0.0.1:1']))).toBe('PAIPAI_ERR_NODE_START');
  });

  test('ends with the reason when another turns out to have its id', async () => {
    // Each waits for a seed that is down; the seed then brings them together.
    const seed = `tcp://127.0.0.1:${await quietPort()}`;
    const first = await start({ nodeId: 'twin', join: [seed] });
    const second = await start({ nodeId: 'twin', join: [seed] });
    await start({ nodeId: 'seed', listen: seed });
    const reason = await Promise.race([first.closed, second.closed]);
    expect(reason).toMatchObject({ code: 'PAIPAI_ERR_DUPLICATE_ID', nodeId: 'twin' });
  });
});

test('a node on a Unix socket is no member', async () => {
  const listen = `unix://${join(ownTmpdir(), 'n.sock')}`;
  const node = await start({ listen });
  expect(node.members()).toEqual([]);
});

test.each<[string, string, MembershipConfig, string]>([
  ['joins from a Unix socket', 'unix:///n.sock', { join: [local] }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
  [
    'advertises a Unix socket',
    'unix:///n.sock',
    { advertise: 'tcp://10.0.0.5:1' },
    'PAIPAI_ERR_INVALID_ARGUMENT',
  ],
  ['advertises a name', local, { advertise: 'tcp://host:1' }, 'PAIPAI_ERR_INVALID_ADDRESS'],
  ['advertises all', local, { advertise: 'tcp://0.0.0.0:1' }, 'PAIPAI_ERR_INVALID_ADDRESS'],
  ['advertises a path', local, { advertise: 'unix:///n.sock' }, 'PAIPAI_ERR_INVALID_ADDRESS'],
  ['joins nobody', local, { join: [] }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
  ['weighs nothing', local, { weight: 0 }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
  ['weighs too much', local, { weight: Infinity }, 'PAIPAI_ERR_INVALID_ARGUMENT'],
])('a node that %s is refused before anything is opened', (_what, listen, config, code) => {
  expect(codeThrown(() => checkMembership(listen, config))).toBe(code);
});
