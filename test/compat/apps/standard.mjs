// What stands on node:net, each at real work: http, https, http2, tls over a socket that spoke before, a socket given to a child process.
// Prints what it saw, and who carried the sockets, in one JSON object.

import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';

const self = fileURLToPath(import.meta.url);
const pem = readFileSync(new URL('./localhost.pem', import.meta.url));
const identity = { key: pem, cert: pem };
const seen = {};
const carriers = {};

const carrierOf = (socket) => socket?._handle?.constructor.name;

async function listening(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

async function textOf(stream) {
  stream.setEncoding('utf8');
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}

function get(module, options) {
  return new Promise((resolve, reject) =>
    module.get({ host: '127.0.0.1', ...options }, resolve).on('error', reject),
  );
}

async function plainHttp() {
  const server = http.createServer(async (request, response) => {
    carriers.http = carrierOf(request.socket);
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    response.end(`${request.method} ${bytes}`);
  });
  const port = await listening(server);
  const answer = await fetch(`http://127.0.0.1:${port}`, {
    method: 'POST',
    body: Buffer.alloc(3_000_000),
  });
  seen.fetch = await answer.text();
  const agent = new http.Agent({ keepAlive: true });
  seen.get = [];
  for (let i = 0; i < 3; i++) seen.get.push(await textOf(await get(http, { port, agent })));
  agent.destroy();
  server.closeAllConnections();
  server.close();
}

async function upgraded() {
  const server = http.createServer();
  server.on('upgrade', (_request, socket) => {
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n',
    );
    socket.pipe(socket);
  });
  const port = await listening(server);
  const request = http.request({
    port,
    host: '127.0.0.1',
    headers: { Connection: 'Upgrade', Upgrade: 'echo' },
  });
  request.end();
  const [, socket] = await once(request, 'upgrade');
  socket.end('hello');
  seen.upgrade = await textOf(socket);
  server.close();
}

async function secureHttp() {
  const server = https.createServer(identity, (_request, response) => response.end('secure'));
  const port = await listening(server);
  seen.https = await textOf(await get(https, { port, rejectUnauthorized: false, agent: false }));
  server.close();
}

async function secondHttp() {
  const server = http2.createServer();
  server.on('connection', (socket) => {
    carriers.http2 = carrierOf(socket);
  });
  server.on('stream', (stream) => stream.end('hello'));
  const session = http2.connect(`http://127.0.0.1:${await listening(server)}`);
  seen.http2 = await textOf(session.request({ ':path': '/' }));
  session.close();
  server.close();
}

/** As mail servers and databases have it: some plain words, then TLS on the same connection. */
async function startTls() {
  const server = net.createServer((socket) => {
    socket.once('data', () =>
      socket.write('go', () => {
        const secure = new tls.TLSSocket(socket, { isServer: true, ...identity });
        secure.once('data', (data) => secure.end(`you said ${data}`));
      }),
    );
  });
  const socket = net.connect(await listening(server), '127.0.0.1');
  socket.write('starttls');
  await once(socket, 'data');
  carriers.beforeTls = carrierOf(socket);
  const secure = tls.connect({ socket, rejectUnauthorized: false });
  secure.write('a secret');
  seen.startTls = await textOf(secure);
  server.close();
}

/** TLS over a socket that is still connecting. */
async function earlyTls() {
  const server = tls.createServer(identity, (socket) => socket.end('early'));
  const socket = net.connect(await listening(server), '127.0.0.1');
  seen.earlyTls = await textOf(tls.connect({ socket, rejectUnauthorized: false }));
  server.close();
}

async function givenToChild() {
  const child = fork(self, ['child']);
  await once(child, 'message');
  const server = net.createServer((socket) => {
    carriers.given = carrierOf(socket);
    child.send('socket', socket);
  });
  const client = net.connect(await listening(server), '127.0.0.1');
  seen.given = await textOf(client);
  server.close();
  await once(child, 'exit');
}

/** A socket as the standard output of another program. */
async function asStandardOutput() {
  const server = net.createServer((socket) => {
    spawn(process.execPath, ['-p', '"from a program"'], { stdio: ['ignore', socket, 'inherit'] });
    socket.destroy();
  });
  seen.stdio = await textOf(net.connect(await listening(server), '127.0.0.1'));
  server.close();
}

if (process.argv[2] === 'child') {
  process.on('message', (_message, socket) => {
    socket.end('from the child');
    process.disconnect();
  });
  process.send('ready');
} else {
  for (const part of [
    plainHttp,
    upgraded,
    secureHttp,
    secondHttp,
    startTls,
    earlyTls,
    givenToChild,
    asStandardOutput,
  ]) {
    await part();
  }
  console.log(JSON.stringify({ seen, carriers }));
}
