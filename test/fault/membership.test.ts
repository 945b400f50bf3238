import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { Data, Net, Node } from '../../dist/index.js';
import { noise } from '../main-job/nets.js';
import { changedPackage } from '../support/changed-package.js';
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

function startNode(id: string, ...args: readonly string[]): Promise<StartedNode> {
  return startNodeWith({}, id, ...args);
}

async function startNodeWith(
  variables: NodeJS.ProcessEnv,
  id: string,
  ...args: readonly string[]
): Promise<StartedNode> {
  const node = startCli(['node', '--json', '--events', '--id', id, ...local, ...args], variables);
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

  test('suspect one that stands still for five seconds under load, and do not bury it', async () => {
    const [a, b, c] = await startThree();
    const d = await startNode('d', '--join', c.address);
    await Promise.all([a, b, c].map((node) => node.hears('join', d)));
    const net = new Net();
    onTestFinished(() => net.close());
    const nodes = [a, b, c, d].map(({ id, address }) => new Node(id, { address }));
    for (const node of nodes) net.addNode(node);
    await net.start();
    let isOver = false;
    let count = 0;
    const content = noise(4_000_000);
    const load = async (target?: Node): Promise<void> => {
      while (!isOver) {
        const data = new Data(`load ${count++}`, content);
        net.addData(data);
        await net.transfer(data, target);
        await net.process(data, 'digest', { keep: false });
      }
    };
    // Two lines of work go on all the time, the third waits for the node that stands still.
    const loads = [load(nodes[0]), load(nodes[1]), load()];
    c.child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    c.child.kill('SIGCONT');
    await Promise.all([a, b, d].map((node) => node.hears('suspect', c)));
    await Promise.all([a, b, d].map((node) => node.hears('alive', c)));
    isOver = true;
    await Promise.all(loads);
    await net.close();
    await Promise.all([stop(c), a.hears('leave', c), b.hears('leave', c), d.hears('leave', c)]);
    for (const node of [a, b, d]) expect(await stop(node)).not.toContain('"event":"fail"');
  });

  test('go by no wall clock: it may be an hour wrong, or jump', async () => {
    const clock = fileURLToPath(new URL('../support/wrong-clock.mjs', import.meta.url));
    const wrong = { NODE_OPTIONS: `--import=${clock}`, WRONG_CLOCK_MS: '3600000' };
    const a = await startNode('a');
    const b = await startNodeWith(wrong, 'b', '--join', a.address);
    const jumping = { ...wrong, WRONG_CLOCK_MS: '-3600000', WRONG_CLOCK_JUMPS: '500' };
    const c = await startNodeWith(jumping, 'c', '--join', a.address);
    await Promise.all([a.hears('join', b), a.hears('join', c), b.hears('join', c)]);
    await Promise.all([b.hears('join', a), c.hears('join', a), c.hears('join', b)]);
    const net = new Net();
    onTestFinished(() => net.close());
    for (const { id, address } of [a, b, c]) net.addNode(new Node(id, { address }));
    await net.start();
    // For long enough that the clock jumps, and that deadlines pass which were set by it.
    const content = noise(1_000_000);
    const startMs = performance.now();
    for (let count = 0; performance.now() - startMs < 3_000; count++) {
      const data = new Data(count, content, { shardBytes: 50_000, replicas: 3 });
      net.addData(data);
      await net.transfer(data, undefined, { deadlineMs: 20_000 });
      const { value } = await net.process(data, 'digest', { deadlineMs: 20_000 });
      expect(value).toMatchObject({ bytes: content.length });
      expect(Buffer.compare(await net.read(data, { deadlineMs: 20_000 }), content)).toBe(0);
    }
    await net.close();
    await Promise.all([stop(c), a.hears('leave', c), b.hears('leave', c)]);
    await Promise.all([stop(b), a.hears('leave', b)]);
    expect(await stop(a)).not.toContain('"event":"fail"');
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

  test('of another version ends with that, and the others go on', async () => {
    const a = await startNode('a');
    const newer = changedPackage({
      file: 'session/handshake.js',
      from: 'const versionMin = 1;\nconst versionMax = 1;',
      to: 'const versionMin = 2;\nconst versionMax = 2;',
    });
    const { status, stderr } = spawnSync(
      process.execPath,
      [newer, 'node', ...local, '--join', a.address],
      { encoding: 'utf8' },
    );
    expect(stderr).toContain('error PAIPAI_ERR_VERSION_MISMATCH: ');
    expect(status).toBe(1);
    const b = await startNode('b', '--join', a.address);
    await Promise.all([a.hears('join', b), b.hears('join', a)]);
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
