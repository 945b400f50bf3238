import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Net } from '../../dist/index.js';
import { reached } from '../main-job/nets.js';
import { makeFolder } from '../support/folders.js';
import { NodeProcess } from '../support/node-process.mjs';
import { codeOf } from '../support/session-pair.js';

/** Three nodes that coordinate a net together, each a process of its own, while they are killed and come back. */

const quorum = ['a', 'b', 'c'];
const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

/** @param spares of nodes that can take a place */
async function startQuorum(spares: readonly string[] = []) {
  const nodes: NodeProcess[] = [];
  const ids = [...quorum, ...spares];
  const folders = ids.map(() => join(makeFolder(), 's'));
  for (const [at, id] of ids.entries()) {
    const joining = nodes[0] === undefined ? [] : ['--join', nodes[0].address];
    const store = ['--store', `files:${folders[at]}`];
    const node = await NodeProcess.start([
      ...['--id', id, '--quorum', quorum.join()],
      ...store,
      ...joining,
    ]);
    onTestFinished(() => node.kill());
    nodes.push(node);
  }
  const client = async (): Promise<Net> => {
    const net = new Net({
      join: nodes.map(({ address }) => address),
      coordination: { quorum },
    });
    onTestFinished(() => net.close());
    await net.start();
    const areAlive = () =>
      net.nodes().filter(({ state }) => state === 'alive').length === ids.length;
    expect(await reached(20_000, areAlive)).toBe(true);
    return net;
  };
  return { nodes, folders, client };
}

test('goes on when one of three is gone, refuses when two are, and is back when they are', async () => {
  const { nodes, client } = await startQuorum();
  const [one, other] = [await client(), await client()];
  const { version } = await one.coordinator.put('a', bytes('1'));
  expect(await other.coordinator.get('a')).toMatchObject({ value: bytes('1'), version });
  const lock = await one.coordinator.lock('job', { ttlMs: 20_000 });
  const waiting = other.coordinator.lock('job');
  const queue = async () => (await one.coordinator.list('paipainet/lock/')).keys.length;
  while ((await queue()) < 2);

  await nodes[0]!.kill();
  // Who looks need not wait until everybody has seen it; a change might be cut.
  expect(await one.coordinator.get('a')).toMatchObject({ version });
  const isLost = () => one.nodes().some(({ id, state }) => id === 'a' && state === 'lost');
  expect(await reached(10_000, isLost)).toBe(true);
  const next = await one.coordinator.compareAndSet('a', version, bytes('2'));
  expect(next.isSet).toBe(true);
  expect((await other.coordinator.get('a')).version).toBe(next.version);
  expect(lock.isHeld).toBe(true);
  await lock.release();
  const held = await waiting;
  expect(held.token).toBeGreaterThan(lock.token);

  await nodes[1]!.kill();
  const beganMs = performance.now();
  const limits = { deadlineMs: 3_000 };
  const refused = ['PAIPAI_ERR_COORDINATOR_DOWN', 'PAIPAI_ERR_DEADLINE'];
  expect(refused).toContain(await codeOf(one.coordinator.get('a', limits)));
  expect(refused).toContain(await codeOf(one.coordinator.put('a', bytes('3'), limits)));
  expect(performance.now() - beganMs).toBeLessThan(10_000);

  await Promise.all([nodes[0]!.start(), nodes[1]!.start()]);
  const isBack = async () => (await codeOf(one.coordinator.get('a', limits))).startsWith('settled');
  while (!(await isBack()));
  // What was refused was never made.
  expect(await one.coordinator.get('a')).toMatchObject({ value: bytes('2') });
  expect((await one.coordinator.put('a', bytes('4'))).version).toBeGreaterThan(next.version);
});

test('a member whose disk is gone does not vote: with another one away there is no majority', async () => {
  const { nodes, folders, client } = await startQuorum();
  const net = await client();
  const { version } = await net.coordinator.put('a', bytes('1'));
  await nodes[2]!.kill();
  rmSync(join(folders[2]!, 'quorum'), { recursive: true });
  await nodes[2]!.start();
  expect((await net.coordinator.get('a')).version).toBe(version);
  await nodes[1]!.kill();
  const refusal = net.coordinator.get('a', { deadlineMs: 8_000 });
  await expect(refusal).rejects.toMatchObject({
    code: 'PAIPAI_ERR_COORDINATOR_DOWN',
    message: expect.stringContaining('lost their disk'),
  });
  await nodes[1]!.start();
  const isBack = async () => (await codeOf(net.coordinator.get('a'))).startsWith('settled');
  while (!(await isBack()));
  expect((await net.coordinator.get('a')).version).toBe(version);
});

test('members are replaced, by their own new disk or by another node, and those who were away find the others', async () => {
  const { nodes, folders, client } = await startQuorum(['d']);
  const { coordinator } = await client();
  const { version } = await coordinator.put('a', bytes('1'));
  const isBack = async () => {
    // Where nobody can be asked, that is said at once.
    await new Promise((resolve) => setImmediate(resolve));
    return (await codeOf(coordinator.get('a'))).startsWith('settled');
  };
  await nodes[2]!.kill();
  rmSync(join(folders[2]!, 'quorum'), { recursive: true });
  await nodes[2]!.start();
  const voting = quorum.map((nodeId) => ({ nodeId, state: 'voting' }));
  const hasState = async (state: string) => (await coordinator.members()).at(2)?.state === state;
  while (!(await hasState('wiped')));
  await coordinator.replaceMember('c');
  expect(await coordinator.members()).toEqual(voting);

  // Now it takes the place of another in a majority.
  await nodes[1]!.kill();
  while (!(await isBack()));
  await coordinator.replaceMember('b', 'd');
  await nodes[0]!.kill();
  // The client knows of a, b and c.
  while (!(await isBack()));
  expect((await coordinator.get('a')).version).toBe(version);

  // Both come back as those who began, and only one of them is a member.
  await Promise.all([nodes[0]!.start(), nodes[1]!.start()]);
  await nodes[2]!.kill();
  while (!(await isBack()));
  const list = (await coordinator.members()).map(({ nodeId }) => nodeId);
  expect(list).toEqual(['a', 'd', 'c']);
  expect((await coordinator.put('a', bytes('2'))).version).toBeGreaterThan(version);
});

test('what is no quorum is refused', async () => {
  for (const wrong of [
    [],
    ['a'],
    ['a', 'b'],
    ['a', 'b', 'a'],
    ['a', 'b', 'c', 'd'],
    'a',
    [1, 2, {}],
  ]) {
    const options = { coordination: { quorum: wrong } } as object;
    expect(() => new Net(options)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_INVALID_ARGUMENT' }),
    );
  }
});
