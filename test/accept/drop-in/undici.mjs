// undici, against nginx and against node:http, the latter also behind nginx. It takes a socket from its option `connect`.

import { once } from 'node:events';
import http from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Agent, Client, Pool } from 'undici';
import {
  blocksOf,
  digest,
  digestOf,
  listenerFor,
  listening,
  net,
  secureOver,
  see,
  servers,
  times,
  trust,
} from './way.mjs';

const { port, securePort, path, proxyPort, appPath } = servers.nginx;

/** A connector of ours; `socketPath` is another's word for `path`. */
function connectorOf({ socketPath } = {}) {
  if (net === undefined) return { ...trust, ...(socketPath && { socketPath }) };
  return ({ hostname, protocol, port: number, servername }, callback) => {
    const target = socketPath ? { path: socketPath } : { host: hostname, port: Number(number) };
    const isSecure = protocol === 'https:';
    const options = { ...trust, ...target, servername, noDelay: true };
    const socket = isSecure ? secureOver(options) : net.connect(options);
    const name = isSecure ? 'secureConnect' : 'connect';
    const onError = (error) => callback(error, null);
    socket.once('error', onError);
    socket.once(name, () => {
      socket.off('error', onError);
      callback(null, socket);
    });
  };
}

async function textOf(dispatcher, options) {
  const { statusCode, body } = await dispatcher.request({ method: 'GET', ...options });
  return `${statusCode} ${await body.text()}`;
}

async function nginx(where, origin, options) {
  const client = new Client(origin, { connect: connectorOf(options), pipelining: 10 });
  const many = Array.from({ length: 1_000 * times }, () => textOf(client, { path: '/hello' }));
  see(`${where}: pipelined`, digest(Buffer.from((await Promise.all(many)).join())));
  const large = await client.request({ method: 'GET', path: '/large' });
  see(`${where}: 32 MiB`, await digestOf(large.body));
  const part = { path: '/large', headers: { range: 'bytes=100-1000099' } };
  see(`${where}: a part`, digest(Buffer.from(await textOf(client, part))));
  const slow = await client.request({ method: 'GET', path: '/large' });
  slow.body.pause();
  await once(slow.body, 'readable');
  see(`${where}: 32 MiB, read late`, await digestOf(slow.body));
  // Each answer closes its connection.
  const closing = Array.from({ length: 50 }, () => textOf(client, { path: '/once' }));
  see(`${where}: closed after each`, (await Promise.all(closing)).join());
  see(`${where}: missing`, (await textOf(client, { path: '/missing' })).slice(0, 3));
  await client.close();
}

/** An app that says what it got, or repeats it. */
function appOf() {
  return http.createServer(async (request, response) => {
    if (request.url === '/repeat') await pipeline(request, response).catch(() => {});
    else if (request.url === '/cut') request.socket.destroy();
    else response.end(`${request.method} ${request.url} ${await digestOf(request)}`);
  });
}

async function ours(where, origin, options) {
  const pool = new Pool(origin, { connections: 4, pipelining: 4, connect: connectorOf(options) });
  const many = Array.from({ length: 400 * times }, (_, n) =>
    textOf(pool, { path: `/${n}`, method: 'POST', body: `body ${n}` }),
  );
  see(`${where}: pool`, digest(Buffer.from((await Promise.all(many)).join())));
  const put = { method: 'PUT', path: '/large', body: Readable.from(blocksOf(1_600)) };
  see(`${where}: 100 MiB sent`, await textOf(pool, put));
  see(`${where}: after that`, await textOf(pool, { path: '/after' }));
  await pool.close();
}

/** A body on its way back before all of it has been sent. */
async function thereAndBack(origin) {
  const client = new Client(origin, { connect: connectorOf() });
  const repeat = { method: 'PUT', path: '/repeat', body: Readable.from(blocksOf(320)) };
  see('repeated', await digestOf((await client.request(repeat)).body));
  const stopping = new AbortController();
  const { signal } = stopping;
  const stopped = client.request({ ...repeat, body: endless(stopping), signal });
  see('stopped', await stopped.then(({ body }) => digestOf(body)).catch(({ name }) => name));
  see('cut off', await textOf(client, { path: '/cut' }).catch(({ code }) => code));
  see('after a cut', await textOf(client, { path: '/after' }));
  await client.close();
}

/** Bytes until there were enough of them to stop. */
async function* endless(stopping) {
  yield* blocksOf(100);
  stopping.abort();
  yield* blocksOf(100);
}

await nginx('nginx', `http://127.0.0.1:${port}`);
await nginx('nginx, unix', 'http://localhost', { socketPath: path });
await nginx('nginx, tls', `https://localhost:${securePort}`);

const app = appOf();
const listener = listenerFor(app);
const appPort = await listening(listener);
await ours('node:http', `http://127.0.0.1:${appPort}`);
await thereAndBack(`http://127.0.0.1:${appPort}`);
listener.close();
app.closeAllConnections();

const behind = appOf();
const behindListener = listenerFor(behind);
behindListener.listen({ path: appPath, readableAll: true, writableAll: true });
await once(behindListener, 'listening');
await ours('behind nginx', `http://127.0.0.1:${proxyPort}`);
behindListener.close();
behind.closeAllConnections();

const agent = new Agent({ connect: connectorOf() });
const nobody = { origin: 'http://127.0.0.1:1', path: '/' };
see('nobody there', await textOf(agent, nobody).catch(({ code }) => code));
await agent.close();
