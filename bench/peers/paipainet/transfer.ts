import { randomFillSync } from 'node:crypto';
import { Data, Net, Node } from 'paipainet';
// The module behind `paipainet node`. Running it in this process lets the program say what CPU time the node took.
import type { runNode as RunNode } from '../../../dist/node/serve.js';
import { play } from '../../support/program.js';
import { addressFor, engineOf } from './settings.js';

const serveUrl: URL = new URL('../../../node/serve.js', import.meta.url);

/** What the built-in handler `digest` answers. */
interface Digest {
  readonly bytes: number;
  readonly checksum: string;
}

await play({
  async server(settings) {
    const { runNode } = (await import(serveUrl.href)) as { runNode: typeof RunNode };
    const node = await runNode({
      listen: addressFor(settings),
      engine: engineOf(settings),
    });
    return { address: node.address, close: () => node.close() };
  },

  async client(settings, address) {
    const { bytes, 'shard-bytes': shardBytes } = settings;
    const content = Buffer.allocUnsafeSlow(Number(bytes));
    randomFillSync(content);
    const net = new Net({ engine: engineOf(settings) });
    const node = new Node(1, { address });
    const data = new Data(1, content, { shardBytes: Number(shardBytes) });
    net.addNode(node);
    net.addData(data);
    await net.start();
    return {
      async run() {
        const report = await net.transfer(data, node);
        return { bytes: report.bytes, engine: net.info().engine };
      },
      // What the node says of its own memory, and what the same words say of ours on a node in this process.
      async verify() {
        const there = (await node.process(data)).value as Digest;
        return {
          storedBytes: there.bytes,
          storedChecksum: there.checksum,
          sentBytes: content.length,
          sentChecksum: await localDigest(content),
        };
      },
      close: () => net.close(),
    };
  },
});

/** The digest of `content` as a node inside this process computes it. */
async function localDigest(content: Uint8Array): Promise<string> {
  const net = new Net({ runAs: 'inline' });
  const data = new Data('here', content);
  net.addNode(new Node('here'));
  net.addData(data);
  await net.start();
  try {
    return ((await net.process(data, 'digest', { keep: false })).value as Digest).checksum;
  } finally {
    await net.close();
  }
}
