// node:http and node:https, clients and servers. Clients take a socket from `createConnection` of their agent, servers by the event
// `connection`.

import { once } from 'node:events';
import { rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  blocksOf,
  bytesOf,
  digest,
  digestOf,
  identity,
  listenerFor,
  listening,
  net,
  repeated,
  secureOver,
  see,
  sockets,
  times,
  trust,
} from './way.mjs';

const bodyBlocks = (100 << 20) / (64 * 1024);

/** A scheme with what its clients and servers are made of. */
class Scheme {
  constructor(name, module, createServer, options, connect) {
    Object.assign(this, { name, module, createServer, options, connect });
  }

  agent(options) {
    const agent = new this.module.Agent({ keepAlive: true, ...options });
    if (net !== undefined) agent.createConnection = this.connect;
    return agent;
  }

  request(options) {
    return this.module.request({ host: '127.0.0.1', ...this.options, ...options });
  }

  async answer(options, body) {
    const request = this.request(options);
    request.end(body);
    const [response] = await once(request, 'response');
    return response;
  }

  see(name, value) {
    see(`${this.name}: ${name}`, value);
  }
}

const schemes = [
  new Scheme(
    'http',
    http,
    (options) => http.createServer(options),
    {},
    (options) => net.connect(options),
  ),
  new Scheme(
    'https',
    https,
    (options) => https.createServer({ ...identity, ...options }),
    trust,
    secureOver,
  ),
];

/** Calls `use` with the port of a listening server, and ends that. */
async function serving(server, use) {
  const listener = listenerFor(server);
  const port = await listening(listener);
  try {
    await use(port);
  } finally {
    server.closeAllConnections();
    listener.close();
  }
}

async function keptAlive(scheme) {
  const connections = new Set();
  const server = scheme.createServer();
  server.on('request', async (request, response) => {
    connections.add(request.socket);
    response.end(`${request.url} ${await digestOf(request)}`);
  });
  await serving(server, async (port) => {
    for (const [maxSockets, count] of [
      [1, 200 * times],
      [16, 400 * times],
    ]) {
      connections.clear();
      const agent = scheme.agent({ maxSockets });
      const answers = Array.from({ length: count }, async (_, n) => {
        const options = { port, agent, method: 'POST', path: `/${n}` };
        return digestOf(await scheme.answer(options, `body ${n}`));
      });
      const all = (await Promise.all(answers)).join();
      scheme.see(`${maxSockets} kept alive`, [digest(Buffer.from(all)), connections.size]);
      agent.destroy();
    }
  });
}

async function largeBodies(scheme) {
  const server = scheme.createServer();
  server.on('request', async (request, response) => {
    if (request.method === 'PUT') response.end(await digestOf(request));
    else await pipeline(Readable.from(blocksOf(bodyBlocks)), response);
  });
  await serving(server, async (port) => {
    const agent = scheme.agent();
    const put = scheme.request({ port, agent, method: 'PUT' });
    const [[response]] = await Promise.all([
      once(put, 'response'),
      pipeline(Readable.from(blocksOf(bodyBlocks)), put),
    ]);
    scheme.see('100 MiB sent in chunks', String(await response.toArray()));
    scheme.see('100 MiB received', await digestOf(await scheme.answer({ port, agent })));
    const whole = bytesOf(32 << 20);
    const answer = await scheme.answer({ port, agent, method: 'PUT' }, whole);
    scheme.see('32 MiB sent at once', [String(await answer.toArray()), digest(whole)]);
    agent.destroy();
  });
}

/** Interim answers, headers that follow, and a request that waits to be asked on. */
async function ceremonies(scheme) {
  const server = scheme.createServer();
  server.on('checkContinue', async (request, response) => {
    response.writeContinue();
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    response.writeHead(200, { Trailer: 'Sum' });
    response.write('got ');
    response.write(await digestOf(request));
    response.addTrailers({ Sum: 'right' });
    response.end();
  });
  server.on('checkExpectation', (_request, response) => {
    response.writeHead(417).end('no');
  });
  await serving(server, async (port) => {
    const agent = scheme.agent();
    const interim = [];
    const request = scheme.request({
      port,
      agent,
      method: 'POST',
      headers: { Expect: '100-continue' },
    });
    request.on('information', ({ statusCode }) => interim.push(statusCode));
    request.on('continue', () => request.end(bytesOf(1 << 20)));
    request.flushHeaders();
    const [response] = await once(request, 'response');
    const body = String(Buffer.concat(await response.toArray()));
    scheme.see('asked to go on', [interim, body, response.trailers]);
    const refused = await scheme.answer({ port, agent, headers: { Expect: 'a miracle' } });
    scheme.see('asked for too much', [refused.statusCode, String(await refused.toArray())]);
    agent.destroy();
  });
}

async function upgraded(scheme) {
  const server = scheme.createServer();
  const accept = (socket, head) => {
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n',
    );
    socket.write(head);
    socket.pipe(socket);
  };
  server.on('upgrade', (_request, socket, head) => accept(socket, head));
  // A proxy, to another server of bare sockets.
  const origin = sockets.createServer((socket) => socket.pipe(socket));
  const originPort = await listening(origin);
  server.on('connect', (_request, socket, head) => {
    const further = sockets.connect(originPort, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      further.write(head);
      socket.pipe(further).pipe(socket);
    });
  });
  await serving(server, async (port) => {
    for (const [event, options] of [
      ['upgrade', { headers: { Connection: 'Upgrade', Upgrade: 'echo' } }],
      ['connect', { method: 'CONNECT', path: 'origin:1' }],
    ]) {
      const agent = scheme.agent();
      const request = scheme.request({ port, agent, ...options });
      request.end();
      const [response, socket, head] = await once(request, event);
      scheme.see(event, [response.statusCode, head.length, await repeated(socket, 160)]);
      agent.destroy();
    }
  });
  origin.close();
}

/** Who goes away in the middle. */
async function broken(scheme) {
  const server = scheme.createServer();
  const events = [];
  server.on('request', (request, response) => {
    if (request.url === '/server') {
      response.write('a beginning');
      setImmediate(() => response.destroy());
      return;
    }
    request.on('error', ({ code }) => events.push(code));
    request.resume();
    response.write(bytesOf(4 << 20));
    response.on('close', () => events.push(response.writableFinished));
    request.on('close', () => events.push('closed'));
  });
  await serving(server, async (port) => {
    const agent = scheme.agent();
    const aborted = await scheme.answer({ port, agent, path: '/server' });
    scheme.see('server goes away', await digestOf(aborted).catch(({ code }) => code));
    const request = scheme.request({ port, agent, method: 'POST' });
    request.write('a beginning');
    const [response] = await once(request, 'response');
    request.on('error', () => {});
    response.on('error', () => {});
    await once(response, 'data');
    response.destroy();
    while (events.length < 3) await new Promise((resolve) => setImmediate(resolve));
    scheme.see('client goes away', events.sort());
    agent.destroy();
  });
}

/** Clients that speak no proper HTTP, over bare sockets. */
async function ill() {
  const limits = { headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 };
  const server = http.createServer(limits, (request, response) => response.end(request.url));
  await serving(server, async (port) => {
    const say = (text) => {
      const socket = sockets.connect(port, '127.0.0.1');
      socket.write(text);
      return digestOf(socket);
    };
    const line = (path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n`;
    see('nonsense', await say('nonsense\r\n\r\n'));
    see('half a request', await say(line('/')));
    see('too many headers', await say(`${line('/')}X: ${'x'.repeat(20_000)}\r\n\r\n`));
    const three = ['/1', '/2'].map((path) => `${line(path)}\r\n`).join('');
    const socket = sockets.connect(port, '127.0.0.1');
    socket.end(`${three}${line('/3')}Connection: close\r\n\r\n`);
    const text = Buffer.concat(await socket.toArray()).toString();
    see('three at once', text.replaceAll(/^Date: .*$/gm, ''));
  });
}

async function overUnixSocket() {
  const path = join(tmpdir(), `paipainet-accept-${process.pid}.sock`);
  const server = http.createServer((request, response) => pipeline(request, response));
  const listener = listenerFor(server);
  listener.listen(path);
  await once(listener, 'listening');
  const [http1] = schemes;
  const agent = http1.agent();
  const options = { socketPath: path, agent, method: 'POST' };
  for (let n = 0; n < 20; n++) {
    see(`unix socket ${n}`, await digestOf(await http1.answer(options, bytesOf(100_000, n))));
  }
  agent.destroy();
  listener.close();
  server.closeAllConnections();
  rmSync(path, { force: true });
}

for (const scheme of schemes) {
  for (const part of [keptAlive, largeBodies, ceremonies, upgraded, broken]) await part(scheme);
}
await ill();
await overUnixSocket();
