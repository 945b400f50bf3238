// mysql2. It takes a connecting socket from its option `stream`, which has to say by itself that small writes leave at once.

import { createHash } from 'node:crypto';
import mysql from 'mysql2';
import { bytesOf, digest, net, pem, see, servers, times } from './way.mjs';

const { host, port, path } = servers.mariadb;
const tcp = { host, port };

function optionsOf(where) {
  const { socketPath } = where;
  const stream = () =>
    net.connect(socketPath ? { path: socketPath } : { host, port, noDelay: true });
  return { user: 'root', database: 'test', ...where, ...(net && { stream }) };
}

async function connect(where) {
  const connection = mysql.createConnection(optionsOf(where)).promise();
  await connection.connect();
  return connection;
}

async function work(name, where) {
  const connection = await connect(where);
  await connection.query('drop table if exists item');
  await connection.query('create table item (id int primary key, name text, body longblob)');

  for (let n = 0; n < 300 * times; n++) {
    await connection.execute('insert into item values (?, ?, ?)', [
      n,
      `item ${n}`,
      Buffer.alloc(n, n),
    ]);
  }
  const [rows] = await connection.query('select * from item order by id');
  see(`${name}: rows`, [rows.length, digest(Buffer.concat(rows.map(({ body }) => body)))]);

  const many = `select seq, md5(seq) as sum from seq_1_to_${50_000 * times}`;
  const [sums] = await connection.query(many);
  see(`${name}: many rows`, digest(Buffer.from(sums.map(({ sum }) => sum).join())));
  const streamed = createHash('sha1');
  // The reader is slower than the server at times.
  for await (const { sum } of connection.connection.query(many).stream()) streamed.update(sum);
  see(`${name}: many rows, one by one`, streamed.digest('hex'));

  const large = bytesOf(16 << 20);
  await connection.execute('insert into item values (-1, ?, ?)', ['large', large]);
  const [[back]] = await connection.query('select body from item where id = -1');
  see(`${name}: 16 MiB there and back`, back.body.equals(large));

  await connection.beginTransaction();
  await connection.query('delete from item');
  await connection.rollback();
  see(`${name}: rolled back`, (await connection.query('select count(*) as n from item'))[0]);
  see(
    `${name}: refused`,
    await connection.query('select nothing').catch(({ code, message }) => [code, message]),
  );

  const other = await connect(where);
  const cut = new Promise((resolve) => other.connection.on('error', ({ code }) => resolve(code)));
  await connection.query(`kill ${other.connection.threadId}`);
  see(`${name}: cut off`, await cut);
  other.destroy();
  await connection.end();
}

const first = mysql.createConnection({ ...optionsOf(tcp), database: undefined }).promise();
await first.query('create database if not exists test');
await first.end();
await work('tcp', tcp);
await work('unix', { socketPath: path });
await work('tls', { ...tcp, ssl: { ca: pem, verifyIdentity: false } });
await work('compressed', { ...tcp, compress: true });

const pool = mysql.createPool({ ...optionsOf(tcp), connectionLimit: 8 }).promise();
const asked = Array.from({ length: 500 }, (_, n) => pool.execute('select ? * 2 as twice', [n]));
see(
  'pool',
  (await Promise.all(asked)).reduce((sum, [[{ twice }]]) => sum + Number(twice), 0),
);
await pool.end();
