// ws, client and server. Its client takes a socket from the option `createConnection`, its server stands on one of node:http.

import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { pipeline } from 'node:stream/promises';
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws';
import {
  bytesOf,
  digest,
  identity,
  listenerFor,
  listening,
  net,
  repeated,
  secureOver,
  see,
  times,
  trust,
} from './way.mjs';

const small = [0, 1, 125, 126, 65_535, 65_536, 1 << 20];
const sizes = [...small, 16 << 20];

async function work(where, scheme, httpServer, lengths, options) {
  const server = new WebSocketServer({ server: httpServer, maxPayload: 64 << 20, ...options });
  server.on('connection', (socket, { url }) => {
    if (url === '/stream') {
      const stream = createWebSocketStream(socket);
      pipeline(stream, stream).catch(() => {});
    } else if (url === '/close') socket.close(4_001, 'not you');
    else if (url === '/terminate') socket.terminate();
    else {
      socket.on('message', (data, binary) => {
        if (String(data.subarray(0, 4)) === 'all:') {
          for (const each of server.clients) each.send(data, { binary });
        } else socket.send(data, { binary });
      });
    }
  });
  const listener = listenerFor(httpServer);
  const port = await listening(listener);
  const connect = scheme === 'ws' ? (opts) => net.connect(opts) : secureOver;
  const open = (path = '/') =>
    new WebSocket(`${scheme}://127.0.0.1:${port}${path}`, {
      ...trust,
      maxPayload: 64 << 20,
      ...options,
      ...(net && { createConnection: connect }),
    });

  const client = open();
  await once(client, 'open');
  see(`${where}: extensions`, client.extensions);
  const echoed = [];
  const all = new Promise((resolve) => {
    client.on('message', (data, binary) => {
      echoed.push([digest(data), binary]);
      if (echoed.length === lengths.length * times + 1_001) resolve();
    });
  });
  for (let i = 0; i < times; i++) for (const size of lengths) client.send(bytesOf(size, size + i));
  for (let n = 0; n < 1_000; n++) client.send(`text ${n}`);
  // One message in pieces.
  for (let n = 0; n < 100; n++) client.send(bytesOf(50_000, n), { fin: false });
  client.send('the end', { fin: true });
  await all;
  see(`${where}: echoed`, echoed);

  client.ping('are you there');
  see(`${where}: pong`, String((await once(client, 'pong'))[0]));

  const others = Array.from({ length: 50 }, () => open());
  await Promise.all(others.map((each) => once(each, 'open')));
  const heard = others.map((each) => once(each, 'message'));
  client.send('all: hello');
  see(
    `${where}: told to all`,
    (await Promise.all(heard)).filter(([data]) => String(data) === 'all: hello').length,
  );
  for (const each of [client, ...others]) each.close(1_000);
  await Promise.all([client, ...others].map((each) => once(each, 'close')));

  see(`${where}: stream`, await repeated(createWebSocketStream(open('/stream')), 320));

  const [code, reason] = await once(open('/close'), 'close');
  see(`${where}: closed`, [code, String(reason)]);
  const cut = open('/terminate');
  cut.on('error', () => {});
  see(`${where}: cut off`, (await once(cut, 'close'))[0]);

  server.close();
  listener.close();
  httpServer.closeAllConnections();
}

const deflating = { perMessageDeflate: { threshold: 0 } };
await work('plain', 'ws', http.createServer(), sizes, { perMessageDeflate: false });
await work('deflated', 'ws', http.createServer(), small, deflating);
await work('secure', 'wss', https.createServer(identity), sizes, { perMessageDeflate: false });
