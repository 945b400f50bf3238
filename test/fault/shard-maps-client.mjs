// A client that transfers data to a net again and again until it is killed: node shard-maps-client.mjs ADDRESS ID BYTES.

import { Data, Net } from '../../dist/index.js';

const [, , join, id, bytes] = process.argv;
const net = new Net({ join: [join] });
const data = new Data(id, Number(bytes), { shardBytes: 4_096, replicas: 2 });
net.addData(data);
await net.start();
for (;;) {
  await net.transfer(data);
  process.stdout.write('transferred\n');
  await net.process(data, 'digest', { keep: false });
  process.stdout.write('dropped\n');
}
