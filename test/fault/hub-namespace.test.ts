import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { makeNamespace, type Namespace } from '../support/namespaces.js';
import { NodeProcess, paipainet } from '../support/node-process.mjs';

/** A client and a node, each in a network from which only the hub can be reached, and a node that only the hub reaches. */

const run = promisify(execFile);
const client = fileURLToPath(new URL('./hub-client.mjs', import.meta.url));
const handlers = fileURLToPath(new URL('../main-job/hub-handlers.mjs', import.meta.url));
const env = { ...process.env, PAIPAINET_SECRET: 'open sesame, please' };

async function startNode(
  id: string,
  address: string,
  options: readonly string[],
  inside?: Namespace,
) {
  const { before = [] } = inside ?? {};
  const all = ['--id', id, '--handlers', handlers, ...options];
  const node = new NodeProcess(all, {
    command: [...before, ...paipainet],
    env,
  });
  node.address = address;
  onTestFinished(() => node.kill());
  await node.start();
  return node;
}

test('clients and nodes that can reach only the hub work together', {
  timeout: 120_000,
}, async (context) => {
  const namespaces: Namespace[] = [];
  onTestFinished(() => {
    for (const { remove } of namespaces) remove();
  });
  try {
    for (const index of [0, 1]) namespaces.push(makeNamespace(index));
  } catch (thrown) {
    context.skip(`no network namespaces: ${(thrown as Error).message}`);
  }
  const [ofClient, ofNode] = namespaces as [Namespace, Namespace];
  const local = 'tcp://127.0.0.1:0';
  const hub = await startNode('hub', 'tcp://0.0.0.0:0', ['--advertise', local]);
  const port = new URL(hub.address).port;
  await startNode('b', local, ['--join', `tcp://127.0.0.1:${port}`]);
  await startNode('far', local, ['--hub', `tcp://${ofNode.outside}:${port}`], ofNode);
  const [command = '', ...before] = ofClient.before;
  const args = [...before, process.execPath, client, `tcp://${ofClient.outside}:${port}`];
  const { stdout } = await run(command, args, { env });
  const result = JSON.parse(stdout);
  expect(result.nodes.sort()).toEqual([
    ['b', 'hub'],
    ['far', 'hub'],
    ['hub', 'tcp'],
  ]);
  expect(result).toMatchObject({
    direct: 'PAIPAI_ERR_NODE_START',
    isEqual: true,
    bytes: 4 * 1024 * 1024,
    failed: [],
  });
  expect(result.heard.sort()).toEqual(['b', 'far', 'hub']);
});
