import { Data, Net, Node } from 'paipainet';

const net = new Net({ handlers: new URL('./handlers.mjs', import.meta.url) });
const node1 = new Node(1);
const node2 = new Node(2);
net.addNode(node1);
net.addNode(node2);

// 1,024 zero bytes, and a text that is cut into shards of at most 4 KiB, between lines.
const data1 = new Data(1, 1024);
const data2 = Data.fromFile(2, new URL('./book.txt', import.meta.url), {
  shardBytes: 4096,
  records: 'lines',
});
net.addData(data1);
net.addData(data2);

await net.start();
try {
  await net.transfer(data1, node1); // Everything to one node.
  const { perNode } = await net.transfer(data2); // Balanced: each shard where placement says.
  for (const { nodeId, shards, bytes } of perNode) {
    console.log(`node ${nodeId}: ${shards} shards, ${bytes} bytes`);
  }

  const result1 = await node1.process(data1); // The built-in handler 'digest'.
  console.log('digest:', result1.value);

  const { value } = await net.process(data2, 'wordCount'); // Every node on its own shards, merged.
  console.log('words:', value);
} finally {
  await net.close();
}
