// A client of the hub at the first argument, with a secret in the environment; prints what came of it as a line of JSON.

import { Data, Net } from 'paipainet';
import { seededBytes } from '../support/seeded-bytes.mjs';

const [, , hub] = process.argv;
const options = { join: [hub], secret: process.env.PAIPAINET_SECRET };

const direct = new Net(options);
const code = await direct.start().then(
  () => 'started',
  (error) => error.code,
);
await direct.close();

const net = new Net({ ...options, route: 'hub' });
await net.start();
try {
  const content = seededBytes(4 * 1024 * 1024, 1);
  const data = new Data('d', content, { shardBytes: 256 * 1024 });
  net.addData(data);
  await net.transfer(data);
  const isEqual = Buffer.compare(await net.read(data), content) === 0;
  const { value } = await net.process(data);
  const { confirmed, failed } = await net.broadcast('echo', 'hello');
  const nodes = net.info().nodes.map(({ id, path }) => [id, path]);
  const heard = confirmed.map(({ nodeId }) => nodeId);
  const result = { direct: code, nodes, isEqual, bytes: value.bytes, heard, failed };
  console.log(JSON.stringify(result));
} finally {
  await net.close();
}
