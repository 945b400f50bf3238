import { Data, Net, Node } from 'paipainet';

/**
 * A program with a net of two embedded nodes, whose handler never returns. It prints the pids, then ends in the way that its
 * argument names.
 */
const [, , ending] = process.argv;
const net = new Net({ handlers: new URL('../main-job/handlers.mjs', import.meta.url) });
const nodes = [new Node(1), new Node(2)];
for (const node of nodes) net.addNode(node);
const data = new Data(1, 10, { shardBytes: 5 });
net.addData(data);
await net.start();
await net.transfer(data);
const endless = net.process(data, 'endless');
endless.catch(() => {});

if (ending === 'close on SIGINT') {
  process.on('SIGINT', async () => {
    // The nodes got the signal too, and still answer.
    console.log(`read ${(await net.read(data)).byteLength} bytes`);
    await net.close();
    console.log('closed');
  });
}
console.log(JSON.stringify(nodes.map(({ pid }) => pid)));

if (ending === 'process.exit') process.exit(5);
if (ending === 'uncaught error') throw new Error('nobody catches this');
