// pg. It takes a socket from its option `stream`, and connects it.

import pg from 'pg';
import { digest, net, pem, see, servers, times } from './way.mjs';

const { host, port, folder } = servers.postgres;

async function clientOf(more) {
  const client = new pg.Client({
    user: 'postgres',
    database: 'postgres',
    port,
    ...(net && { stream: () => new net.Socket() }),
    ...more,
  });
  await client.connect();
  return client;
}

async function work(where, more) {
  const client = await clientOf(more);
  await client.query('drop table if exists item');
  await client.query('create table item (id int primary key, name text, body bytea)');

  for (let n = 0; n < 300 * times; n++) {
    await client.query({
      name: 'insert',
      text: 'insert into item values ($1, $2, $3)',
      values: [n, `item ${n}`, Buffer.alloc(n, n)],
    });
  }
  const { rows } = await client.query('select * from item order by id');
  see(`${where}: rows`, [rows.length, digest(Buffer.concat(rows.map(({ body }) => body)))]);

  const names = [];
  for (let n = 0; n < 300; n++) {
    const one = { name: 'one', text: 'select name from item where id = $1', values: [n] };
    names.push((await client.query(one)).rows[0].name);
  }
  see(`${where}: prepared`, digest(Buffer.from(names.join())));

  const copied = await client.query(
    `select n, md5(n::text) as sum from generate_series(1, ${100_000 * times}) n`,
  );
  see(`${where}: many rows`, digest(Buffer.from(copied.rows.map(({ sum }) => sum).join())));

  const large = await client.query("select repeat('0123456789abcdef', 1 << 20) as text");
  see(`${where}: 16 MiB in a row`, digest(Buffer.from(large.rows[0].text)));
  const sent = await client.query('select md5($1::bytea) as sum', [Buffer.alloc(16 << 20, 7)]);
  see(`${where}: 16 MiB sent`, sent.rows[0].sum);

  // A cursor, in portions.
  await client.query('begin');
  await client.query(
    'declare c cursor for select n, repeat(md5(n::text), 200) as text from generate_series(1, 1000) n',
  );
  let portions = 0;
  const texts = [];
  for (;;) {
    const portion = await client.query('fetch 64 from c');
    if (portion.rows.length === 0) break;
    portions++;
    texts.push(...portion.rows.map(({ text }) => text));
  }
  await client.query('commit');
  see(`${where}: cursor`, [portions, digest(Buffer.from(texts.join()))]);

  see(
    `${where}: refused`,
    await client.query('select 1/0').catch(({ code, message }) => [code, message]),
  );
  await client.query('begin');
  await client.query('delete from item');
  await client.query('rollback');
  see(`${where}: rolled back`, (await client.query('select count(*) from item')).rows);

  const listener = await clientOf(more);
  await listener.query('listen news');
  const heard = [];
  const all = new Promise((resolve) => {
    listener.on('notification', ({ channel, payload }) => {
      heard.push([channel, payload]);
      if (heard.length === 200) resolve();
    });
  });
  for (let n = 0; n < 200; n++) await client.query('select pg_notify($1, $2)', ['news', `${n}`]);
  await all;
  see(`${where}: notified`, digest(Buffer.from(JSON.stringify(heard))));

  // Behind the server's word comes the end of the connection, which pg tells as another error.
  const cut = new Promise((resolve) => listener.on('error', resolve));
  const { rows: pids } = await client.query(
    "select pid from pg_stat_activity where query = 'listen news'",
  );
  await client.query('select pg_terminate_backend($1)', [pids[0].pid]);
  see(`${where}: cut off`, (await cut).message);
  await listener.end();
  await client.end();
}

await work('tcp', { host });
await work('unix', { host: folder });
await work('tls', { host, ssl: { ca: pem, servername: 'localhost' } });

const pool = new pg.Pool({
  user: 'postgres',
  database: 'postgres',
  host,
  port,
  max: 8,
  ...(net && { stream: () => new net.Socket() }),
});
const asked = Array.from({ length: 500 }, (_, n) => pool.query('select $1::int * 2 as twice', [n]));
see(
  'pool',
  (await Promise.all(asked)).reduce((sum, { rows }) => sum + rows[0].twice, 0),
);
await pool.end();
