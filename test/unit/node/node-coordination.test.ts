import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Net, Node, type StoreChoice } from '../../../dist/index.js';
import { startNode } from '../../../dist/node/runtime.js';
import { makeFolder } from '../../support/folders.js';

async function versionIn(net: Net): Promise<number> {
  onTestFinished(() => net.close());
  await net.start();
  const { version } = await net.coordinator.compareAndSet('a', 0, Buffer.from('1'));
  return version;
}

test.each<[string, (folder: string) => StoreChoice]>([
  ['memory', () => 'memory'],
  ['files', (folder) => ({ files: join(folder, 'store') })],
])(
  'a table in %s that begins with nothing gives no version that one before it gave',
  async (_, storeIn) => {
    const folder = makeFolder();
    const startMs = Date.now();
    const node = await startNode({
      nodeId: 'a',
      listen: `unix://${folder}/socket`,
      workers: 1,
      store: storeIn(folder),
      coordinator: true,
    });
    onTestFinished(() => node.close());
    const net = new Net().addNode(new Node('a', { address: node.address }));
    // As many as that in each millisecond.
    expect(await versionIn(net)).toBeGreaterThan(startMs * 1_024);
  },
);

test('the table of an embedded node is of no use to others, and begins at 1', async () => {
  expect(await versionIn(new Net({ runAs: 'inline' }).addNode(new Node('a')))).toBe(1);
});
