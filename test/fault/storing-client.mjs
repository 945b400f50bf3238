import { Data, Net, Node } from 'paipainet';

/** A program that stores 1 MiB on the node of its argument, says so, and stays. */
const net = new Net().addNode(new Node(1, { address: process.argv[2] }));
const data = new Data(1, 1024 * 1024, { shardBytes: 100_000 });
net.addData(data);
await net.start();
await net.transfer(data);
process.send('stored');
