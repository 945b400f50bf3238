// node:http2, clients and servers, in the open and over TLS. Its clients take a socket from `createConnection`, its secure servers by the
// event `connection`.

import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  blocksOf,
  digest,
  digestOf,
  identity,
  listenerFor,
  listening,
  net,
  secureOver,
  see,
  times,
  trust,
} from './way.mjs';

async function handle(stream, headers) {
  const path = headers[':path'];
  stream.on('error', () => {});
  if (path === '/large') {
    stream.respond();
    await pipeline(Readable.from(blocksOf(1_024)), stream);
  } else if (path === '/trailers') {
    stream.respond({ ':status': 203 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ sum: 'right' }));
    stream.end('with trailers');
  } else if (path === '/reset') stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
  else if (path === '/goodbye') {
    stream.respond({}, { endStream: true });
    stream.session.close();
  } else if (path === '/destroy') stream.session.destroy();
  else {
    stream.respond();
    stream.end(`${path} ${await digestOf(stream)}`);
  }
}

async function answer(session, headers, body) {
  const request = session.request(headers);
  if (body !== undefined) request.end(body);
  const [{ ':status': status }] = await once(request, 'response');
  return `${status} ${Buffer.concat(await request.toArray())}`;
}

function settled(session) {
  return new Promise((resolve) => session.once('close', resolve));
}

async function work(where, server, origin, connect) {
  const isSecure = where === 'secure';
  server.on('stream', handle);
  // In the open it takes Node's own sockets only, which it gets when it listens by itself.
  const listener = isSecure ? listenerFor(server) : server;
  const port = await listening(listener);
  const open = () => {
    const options = { host: '127.0.0.1', port, ALPNProtocols: ['h2'], ...trust };
    const session = http2.connect(`${origin}:${port}`, {
      ...trust,
      ...(net && { createConnection: () => connect(options) }),
    });
    session.on('error', () => {});
    return session;
  };

  const session = open();
  await once(session, 'connect');
  // Room for a stream that is not read beside others that are.
  session.setLocalWindowSize(16 << 20);
  for (let n = 0; n < 200 * times; n++) {
    const headers = { ':path': `/${n}`, ':method': 'POST' };
    const said = await answer(session, headers, `body ${n}`);
    if (n % 50 === 0) see(`${where}: request ${n}`, said);
  }
  const many = Array.from({ length: 1_000 * times }, (_, n) =>
    answer(session, { ':path': `/${n}`, ':method': 'POST' }, `body ${n}`),
  );
  see(`${where}: side by side`, digest(Buffer.from((await Promise.all(many)).join())));

  see(`${where}: 64 MiB received`, await digestOf(session.request({ ':path': '/large' })));
  const put = session.request({ ':path': '/put', ':method': 'PUT' });
  await pipeline(Readable.from(blocksOf(1_024)), put, { end: true });
  see(`${where}: 64 MiB sent`, String(Buffer.concat(await put.toArray())));

  const trailing = session.request({ ':path': '/trailers' });
  const trailers = once(trailing, 'trailers');
  trailing.resume();
  see(`${where}: trailers`, (await trailers)[0].sum);
  await new Promise((resolve) => session.ping(resolve));
  const reset = session.request({ ':path': '/reset' });
  see(`${where}: reset`, (await once(reset, 'error').catch(([error]) => error))[0].code);
  see(`${where}: after that`, await answer(session, { ':path': '/after' }));

  // A reader that stops for a while, beside one that does not.
  const paused = session.request({ ':path': '/large' });
  await once(paused, 'response');
  see(`${where}: beside a reader that waits`, await answer(session, { ':path': '/beside' }));
  see(`${where}: 64 MiB, read late`, await digestOf(paused));
  session.close();
  await settled(session);

  for (const end of ['/goodbye', '/destroy']) {
    const other = open();
    const closed = settled(other);
    const request = other.request({ ':path': end });
    request.on('error', () => {}).resume();
    await closed;
    see(`${where}: ${end}`, [other.destroyed, request.destroyed]);
  }
  listener.close();
}

/** One server for HTTP/2 and its predecessor, which the client chooses. */
async function bothVersions() {
  const server = http2.createSecureServer({ ...identity, allowHTTP1: true });
  server.on('request', (request, response) => response.end(`version ${request.httpVersion}`));
  const listener = listenerFor(server);
  const port = await listening(listener);
  const session = http2.connect(`https://localhost:${port}`, trust);
  see('newer version', await answer(session, { ':path': '/' }));
  session.close();
  await settled(session);
  const request = https.get({ host: '127.0.0.1', port, agent: false, ...trust });
  const [response] = await once(request, 'response');
  see('older version', String(await response.toArray()));
  listener.close();
}

await work('open', http2.createServer(), 'http://localhost', (options) => net.connect(options));
await work('secure', http2.createSecureServer(identity), 'https://localhost', secureOver);
await bothVersions();
