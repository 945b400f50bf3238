import { describe, expect, onTestFinished, test } from 'vitest';
import { Data, Net, type NetOptions, Node } from '../../../dist/index.js';
import type { RunningNode } from '../../../dist/node/runtime.js';
import { type RunNodeOptions, runNode } from '../../../dist/node/serve.js';
import { handlers, noise, reached } from '../../main-job/nets.js';
import { quietPort } from '../../support/quiet-port.js';
import { codeOf, codeThrown } from '../../support/session-pair.js';

/** Nets that find their nodes by asking one of them. */

async function startNode(
  nodeId: string,
  options: Partial<RunNodeOptions> = {},
): Promise<RunningNode> {
  const node = await runNode({ listen: 'tcp://127.0.0.1:0', nodeId, handlers, ...options });
  onTestFinished(() => node.close());
  return node;
}

/** Nodes a, b and c, of weights 1, 1 and 2, each of which knows the others. */
async function startThree(): Promise<[RunningNode, RunningNode, RunningNode]> {
  const a = await startNode('a');
  const b = await startNode('b', { join: [a.address] });
  const c = await startNode('c', { join: [a.address], weight: 2 });
  const knowsAll = (node: RunningNode): boolean => node.members().length === 3;
  expect(await reached(10_000, () => [a, b, c].every(knowsAll))).toBe(true);
  return [a, b, c];
}

function netOf(options: NetOptions): Net {
  const net = new Net(options);
  onTestFinished(() => net.close());
  return net;
}

const nodeIds = (net: Net): string[] =>
  net
    .info()
    .nodes.map(({ id }) => id)
    .sort();

describe('a net that joins', () => {
  test('transfers to all living nodes by their weights, and processes there', async () => {
    const [a] = await startThree();
    const net = netOf({ join: ['tcp://127.0.0.1:1', a.address], placement: 'weighted' });
    await net.start();
    expect(nodeIds(net)).toEqual(['a', 'b', 'c']);
    const content = noise(40_000);
    const data = new Data('d', content, { shardBytes: 1_000 });
    net.addData(data);
    const { perNode } = await net.transfer(data);
    const bytes = perNode.map((node) => [node.nodeId, node.bytes]).sort();
    expect(bytes).toEqual([
      ['a', 10_000],
      ['b', 10_000],
      ['c', 20_000],
    ]);
    const { value } = await net.process(data, 'byteSum');
    expect(value).toBe(content.reduce((sum, byte) => sum + byte, 0));
    expect(await net.read(data)).toEqual(content);
  });

  test('leaves out who has left, and nodes that were added by hand', async () => {
    const [a, b, c] = await startThree();
    await c.close();
    const net = netOf({ join: [a.address] });
    net.addNode(new Node('mine', { address: b.address }));
    await net.start();
    expect(nodeIds(net)).toEqual(['a', 'mine']);
  });

  test('fails with the reason, and can be started again', async () => {
    const address = `tcp://127.0.0.1:${await quietPort()}`;
    const net = netOf({ join: [address] });
    expect(await codeOf(net.start())).toBe('PAIPAI_ERR_NODE_START');
    await startNode('back', { listen: address });
    await net.start();
    expect(nodeIds(net)).toEqual(['back']);
    const stranger = netOf({ name: 'other', join: [address] });
    expect(await codeOf(stranger.start())).toBe('PAIPAI_ERR_NET_NAME');
  });
});

test.each([
  ['no list', 'tcp://127.0.0.1:7100', 'PAIPAI_ERR_INVALID_ARGUMENT'],
  ['an empty list', [], 'PAIPAI_ERR_INVALID_ARGUMENT'],
  ['a Unix socket', ['unix:///run/node.sock'], 'PAIPAI_ERR_INVALID_ADDRESS'],
])('join with %s is refused', (_what, join, code) => {
  // Wrong on purpose, where the types would not let it through.
  expect(codeThrown(() => new Net({ join: join as string[] }))).toBe(code);
});
