import { afterEach, describe, expect, test } from 'vitest';
import { quietPort } from '../support/quiet-port.js';
import { type RunningCli, runCli, startCli } from '../unit/cli/run-cli.js';

/** Nodes as people start them, each a process of its own, that find each other and lose each other. */

const timeout = 60_000;
const local = ['--listen', 'tcp://127.0.0.1:0'];

let started: RunningCli[] = [];
afterEach(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ ended }) => ended));
  started = [];
});

interface StartedNode extends RunningCli {
  readonly id: string;
  readonly address: string;
  /** Settles when this node reports `event` about `other`. */
  hears(event: string, other: StartedNode): Promise<unknown>;
}

async function startNode(id: string, ...args: readonly string[]): Promise<StartedNode> {
  const node = startCli(['node', '--json', '--events', '--id', id, ...local, ...args]);
  started.push(node);
  const [line] = await node.seen(/^.*\n/);
  const { address } = JSON.parse(line);
  const hears = (event: string, other: StartedNode): Promise<unknown> =>
    node.seen(new RegExp(`"event":"${event}","nodeId":"${other.id}"`));
  return { ...node, id, address, hears };
}

/** Nodes a, b and c, each of which knows the others. */
async function startThree(): Promise<[StartedNode, StartedNode, StartedNode]> {
  const a = await startNode('a');
  const b = await startNode('b', '--join', a.address);
  const c = await startNode('c', '--join', 'tcp://127.0.0.1:1', '--join', b.address);
  await Promise.all([
    a.hears('join', b),
    a.hears('join', c),
    b.hears('join', a),
    b.hears('join', c),
    c.hears('join', a),
    c.hears('join', b),
  ]);
  return [a, b, c];
}

async function stop(node: StartedNode): Promise<string> {
  node.child.kill('SIGTERM');
  const { out } = await node.ended;
  return out;
}

describe('three nodes that found each other by --join', { timeout }, () => {
  test('report a fourth that says goodbye, and one that is killed, each as what it is', async () => {
    const [a, b, c] = await startThree();
    const d = await startNode('d', '--join', c.address, '--weight', '2');
    await Promise.all([a.hears('join', d), b.hears('join', d)]);
    await Promise.all([stop(d), a.hears('leave', d), b.hears('leave', d), c.hears('leave', d)]);
    c.child.kill('SIGKILL');
    await Promise.all([a.hears('fail', c), b.hears('fail', c)]);
    const fromA = await stop(a);
    expect(fromA).not.toContain('"event":"fail","nodeId":"d"');
    expect(fromA).not.toContain('"event":"leave","nodeId":"c"');
  });

  test('do not bury one that stands still for two seconds', async () => {
    const [a, b, c] = await startThree();
    c.child.kill('SIGSTOP');
    // Not to wait for something, but what is done to it.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    c.child.kill('SIGCONT');
    // It leaves as what it was all the time: a member.
    await Promise.all([stop(c), a.hears('leave', c), b.hears('leave', c)]);
    for (const node of [a, b]) expect(await stop(node)).not.toContain('"event":"fail"');
  });

  test('take one back that was killed and started again under its id', async () => {
    const [a, b, c] = await startThree();
    c.child.kill('SIGKILL');
    await c.ended;
    const again = await startNode('c', '--join', a.address);
    await Promise.all([again.hears('join', a), again.hears('join', b)]);
    await Promise.all([stop(again), a.hears('leave', again), b.hears('leave', again)]);
  });
});

describe('a node that cannot join', { timeout }, () => {
  test('ends with the reason', async () => {
    const a = await startNode('a');
    const refused = async (...args: string[]): Promise<{ end: number | string; err: string }> => {
      const { end, err } = await runCli(['node', ...local, ...args]);
      return { end, err };
    };
    expect(await refused('--join', a.address, '--name', 'other')).toEqual({
      end: 1,
      err: expect.stringContaining('error PAIPAI_ERR_NET_NAME: '),
    });
    expect(await refused('--join', a.address, '--id', 'a')).toEqual({
      end: 1,
      err: expect.stringContaining('error PAIPAI_ERR_DUPLICATE_ID: '),
    });
    const { end, err } = await runCli(['node', ...local, '--join', a.address], {
      PAIPAINET_SECRET: 'open sesame, please',
    });
    expect({ end, err }).toEqual({
      end: 1,
      err: expect.stringContaining('error PAIPAI_ERR_SECRET: '),
    });
    expect(await refused('--join', 'unix:///run/node.sock')).toEqual({
      end: 2,
      err: expect.stringContaining('error PAIPAI_ERR_INVALID_ADDRESS: '),
    });
    expect(await refused('--weight', '-1')).toMatchObject({ end: 2 });
  });

  test('for want of a seed says so once, and joins when one is there', async () => {
    const address = `tcp://127.0.0.1:${await quietPort()}`;
    const waiting = await startNode('waiting', '--join', address);
    const seed = await startNode('seed', '--listen', address);
    await Promise.all([waiting.hears('join', seed), seed.hears('join', waiting)]);
    waiting.child.kill('SIGTERM');
    const { err } = await waiting.ended;
    expect(err.match(/trying on/g)).toHaveLength(1);
    expect(err).toContain('the net is joined');
  });
});
