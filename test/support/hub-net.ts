import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { Net, type NetOptions } from '../../dist/index.js';
import { reached } from '../main-job/nets.js';
import { NodeProcess } from './node-process.mjs';

const handlers = fileURLToPath(new URL('../main-job/hub-handlers.mjs', import.meta.url));

async function startNode(id: string, ...options: readonly string[]): Promise<NodeProcess> {
  const node = await NodeProcess.start(['--id', id, '--handlers', handlers, ...options]);
  onTestFinished(() => node.kill());
  return node;
}

export interface HubNet {
  readonly hub: NodeProcess;
  readonly b: NodeProcess;
  readonly c: NodeProcess;
  readonly net: Net;
}

/** A started net through a hub, which has next to no share of the data itself. */
export async function startHubNet(options: NetOptions = {}): Promise<HubNet> {
  const hub = await startNode('hub', '--weight', '0.000001');
  const [b, c] = await Promise.all(
    ['b', 'c'].map((id) => startNode(id, '--join', hub.address)) as [
      Promise<NodeProcess>,
      Promise<NodeProcess>,
    ],
  );
  const net = new Net({ route: 'hub', join: [hub.address], ...options });
  onTestFinished(() => net.close());
  await net.start();
  // Each listened before it had joined, should the hub have been slow to answer.
  const areThere = (): boolean =>
    ['b', 'c'].every((id) => net.nodes().some((node) => node.id === id && node.state === 'alive'));
  expect(await reached(60_000, areThere)).toBe(true);
  return { hub, b, c, net };
}
