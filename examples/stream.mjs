import { Data, Net, Node } from 'paipainet';

// Data that come from a stream and would not fit into memory: here 64 MiB, made as they are asked for.
async function* numbers() {
  const chunk = new Uint8Array(1024 * 1024).map((_, index) => index % 256);
  for (let count = 0; count < 64; count += 1) yield chunk;
}

const net = new Net();
for (const id of ['a', 'b', 'c']) net.addNode(new Node(id));
const data = new Data('numbers', numbers());
net.addData(data);

await net.start();
try {
  // Each shard is sent, processed and dropped; what is under way is bounded, whatever the length of the stream.
  const { value, report } = await net.process(data, 'digest', { keep: false });
  console.log(value);
  for (const { nodeId, shards, bytes } of report.perNode) {
    console.log(`node ${nodeId}: ${shards} shards, ${bytes} bytes`);
  }
} finally {
  await net.close();
}
