// ioredis. It takes a socket from a `Connector` class.

import { AbstractConnector, Redis } from 'ioredis';
import { bytesOf, digest, net, see, servers, times } from './way.mjs';

const mebibyte = 2 ** 20;

class OurConnector extends AbstractConnector {
  constructor(options) {
    super(options.disconnectTimeout);
    this.options = options;
  }

  async connect() {
    this.stream = net.connect(this.options);
    return this.stream;
  }
}

function clientOf(address, more) {
  return new Redis({ ...address, ...(net && { Connector: OurConnector }), ...more });
}

async function work(where, address) {
  const client = clientOf(address);
  await client.flushall();

  for (let i = 0; i < times; i++) {
    const pipeline = client.pipeline();
    for (let n = 0; n < 5_000; n++) pipeline.set(`key ${n}`, `value ${n}`).get(`key ${n}`);
    const results = await pipeline.exec();
    see(`${where}: pipeline ${i}`, digest(Buffer.from(JSON.stringify(results))));
  }

  for (let i = 0; i < 8 * times; i++) {
    const value = bytesOf(mebibyte, i);
    await client.set(`large ${i}`, value);
    see(`${where}: large ${i}`, (await client.getBuffer(`large ${i}`)).equals(value));
  }
  const keys = Array.from({ length: 8 * times }, (_, i) => `large ${i}`);
  see(`${where}: large, at once`, digest(Buffer.concat(await client.mgetBuffer(keys))));

  const many = Array.from({ length: 2_000 }, (_, n) => client.incrby('sum', n));
  see(`${where}: side by side`, (await Promise.all(many)).at(-1));

  see(
    `${where}: transaction`,
    await client.multi().set('a', 1).incr('a').lpush('wrong', 'x').incr('wrong').get('a').exec(),
  );
  await client.watch('a');
  await client.set('a', 5);
  see(`${where}: transaction, outrun`, await client.multi().incr('a').exec());
  see(`${where}: refused`, await client.call('no-such-command').catch(({ message }) => message));

  const blocked = clientOf(address);
  const popping = blocked.blpop('queue', 0);
  await client.rpush('queue', 'pushed');
  see(`${where}: blocking pop`, await popping);
  see(`${where}: blocking pop, in vain`, await blocked.blpop('queue', 0.05));

  const subscriber = clientOf(address);
  await subscriber.subscribe('news');
  await subscriber.psubscribe('n*');
  const heard = { message: [], pmessage: [] };
  const all = new Promise((resolve) => {
    for (const event of ['message', 'pmessage']) {
      subscriber.on(event, (...args) => {
        heard[event].push(args);
        if (heard.message.length + heard.pmessage.length === 2_000) resolve();
      });
    }
  });
  for (let n = 0; n < 1_000; n++) client.publish('news', `item ${n}`);
  await all;
  see(`${where}: published`, digest(Buffer.from(JSON.stringify(heard))));

  // Cut off by the server, it connects again.
  const [, id] = /id=(\d+)/.exec(await blocked.client('INFO'));
  await client.client('KILL', 'ID', id);
  see(`${where}: after a cut`, await blocked.get('a'));

  await Promise.all([client, blocked, subscriber].map((each) => each.quit()));
}

await work('tcp', { host: '127.0.0.1', port: servers.redis.port });
await work('unix', { path: servers.redis.path });

const refused = clientOf({ port: 1, host: '127.0.0.1' }, { retryStrategy: null });
refused.on('error', ({ code, syscall, address, port }) =>
  see('nobody there', { code, syscall, address, port }),
);
see('unanswered', await refused.get('a').catch(({ message }) => message));
