// node-redis. It makes its sockets itself, so there is no way to hand it one.

import { createClient, RESP_TYPES } from 'redis';
import { bytesOf, digest, see, servers, times } from './way.mjs';

const mebibyte = 2 ** 20;

async function clientOf(socket) {
  const client = createClient({ socket });
  client.on('error', () => {});
  return client.connect();
}

async function work(where, address) {
  const client = await clientOf(address);
  await client.flushAll();

  for (let i = 0; i < times; i++) {
    const commands = [];
    for (let n = 0; n < 5_000; n++) {
      commands.push(client.set(`key ${n}`, `value ${n}`), client.get(`key ${n}`));
    }
    see(
      `${where}: pipeline ${i}`,
      digest(Buffer.from(JSON.stringify(await Promise.all(commands)))),
    );
  }

  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  for (let i = 0; i < 8 * times; i++) {
    const value = bytesOf(mebibyte, i);
    await client.set(`large ${i}`, value);
    see(`${where}: large ${i}`, (await binary.get(`large ${i}`)).equals(value));
  }
  const keys = Array.from({ length: 8 * times }, (_, i) => `large ${i}`);
  see(`${where}: large, at once`, digest(Buffer.concat(await binary.mGet(keys))));

  see(`${where}: transaction`, await client.multi().set('a', '1').incr('a').get('a').exec());
  const watching = await clientOf(address);
  await watching.watch('a');
  await client.set('a', '5');
  see(
    `${where}: transaction, outrun`,
    await watching
      .multi()
      .incr('a')
      .exec()
      .catch(({ name }) => name),
  );

  const blocked = await clientOf(address);
  const popping = blocked.blPop('queue', 0);
  await client.rPush('queue', 'pushed');
  see(`${where}: blocking pop`, await popping);
  see(`${where}: blocking pop, in vain`, await blocked.blPop('queue', 0.05));

  const subscriber = await clientOf(address);
  const heard = [];
  const all = new Promise((resolve) => {
    const take = (message, channel) => {
      heard.push([channel, message]);
      if (heard.length === 2_000) resolve();
    };
    return subscriber
      .subscribe('news', take)
      .then(() => subscriber.subscribe('more', take))
      .then(async () => {
        for (let n = 0; n < 1_000; n++) {
          client.publish('news', `item ${n}`);
          client.publish('more', `item ${n}`);
        }
      });
  });
  await all;
  see(`${where}: published`, digest(Buffer.from(JSON.stringify(heard))));

  // Cut off by the server, it connects again.
  await client.sendCommand(['CLIENT', 'KILL', 'ID', String(await blocked.clientId())]);
  see(`${where}: after a cut`, await blocked.get('a'));

  await Promise.all([client, watching, blocked, subscriber].map((each) => each.close()));
}

await work('tcp', { host: '127.0.0.1', port: servers.redis.port });
await work('unix', { path: servers.redis.path });
