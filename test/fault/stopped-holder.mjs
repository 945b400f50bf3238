// Takes a lock, writes under its token and lets it go, as its parent says, without ever asking whether it still holds it.

import { Data, Net } from '../../dist/index.js';

const [, , options, ttlMs, bytes, letter] = process.argv;
const net = new Net(JSON.parse(options));
await net.start();
const data = new Data('d', Buffer.alloc(Number(bytes), letter));
net.addData(data);
let lock;

const tasks = {
  async lock() {
    lock = await net.coordinator.lock('d', { ttlMs: Number(ttlMs) });
    return { token: lock.token };
  },
  async write() {
    try {
      await net.transfer(data, undefined, { token: lock.token });
      return { code: 'written' };
    } catch (thrown) {
      return { code: thrown.code };
    }
  },
  async release() {
    await lock.release();
    return {};
  },
};

process.on('message', async (what) => process.send(await tasks[what]()));
process.send({});
