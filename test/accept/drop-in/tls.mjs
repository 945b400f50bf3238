// node:tls, clients and servers: names, protocols, sessions, certificates, and TLS that begins late. Its clients take a socket from the
// option `socket`, its servers by the event `connection`.

import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import tls from 'node:tls';
import {
  digest,
  digestOf,
  identity,
  listenerFor,
  listening,
  net,
  pem,
  repeated,
  secureOver,
  see,
  sockets,
  times,
  trust,
} from './way.mjs';

async function serving(options, onSocket, use) {
  const server = tls.createServer({ ...identity, ...options }, (socket) => {
    socket.on('error', () => {});
    onSocket(socket);
  });
  const listener = listenerFor(server);
  const port = await listening(listener);
  await use(port, server);
  listener.close();
  await once(listener, 'close');
}

function connect(port, options) {
  const all = { port, host: '127.0.0.1', ...trust, ...options };
  return net === undefined ? tls.connect(all) : secureOver(all);
}

const echo = (socket) => pipeline(socket, socket).catch(() => {});

async function echoes() {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    await serving({}, echo, async (port) => {
      const all = Array.from({ length: 20 }, async (_, n) => {
        const socket = connect(port, { maxVersion });
        socket.end(`client ${n}`);
        return digestOf(socket);
      });
      see(`${maxVersion}: clients`, digest(Buffer.from((await Promise.all(all)).join())));
      const socket = connect(port, { maxVersion });
      await once(socket, 'secureConnect');
      see(`${maxVersion}: protocol`, [socket.getProtocol(), socket.authorized]);
      see(`${maxVersion}: 64 MiB there and back`, await repeated(socket, 1_024 * times));
    });
  }
}

async function namesAndProtocols() {
  const asked = [];
  const options = {
    ALPNProtocols: ['second', 'first'],
    SNICallback(name, callback) {
      asked.push(name);
      callback(name === 'nobody.example' ? new Error('nobody') : null, undefined);
    },
  };
  const say = (socket) => socket.end(`${socket.servername} ${socket.alpnProtocol}`);
  await serving(options, say, async (port, server) => {
    const refusals = [];
    server.on('tlsClientError', ({ message }) => refusals.push(message));
    const socket = connect(port, { ALPNProtocols: ['first', 'second'] });
    see('name and protocol', String(Buffer.concat(await socket.toArray())));
    see('protocol', socket.alpnProtocol);
    const none = connect(port, { ALPNProtocols: ['third'] });
    see('no protocol', (await once(none, 'error').catch((error) => [error]))[0].code);
    const nobody = connect(port, { servername: 'nobody.example' });
    see('no such name', (await once(nobody, 'error'))[0].code);
    const wrong = connect(port, { servername: 'other.example' });
    see('wrong name', (await once(wrong, 'error'))[0].code);
    const untrusted = connect(port, { ca: undefined });
    see('not trusted', (await once(untrusted, 'error'))[0].code);
    const plain = sockets.connect(port, '127.0.0.1');
    plain.end('this is no TLS, this is no TLS, this is no TLS');
    see('no TLS', digest(Buffer.concat(await plain.toArray().catch(() => []))));
    see('asked', asked);
    see('refusals', refusals.length);
  });
}

async function sessions() {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    let session;
    await serving(
      {},
      (socket) => socket.end('hello'),
      async (port) => {
        const reused = [];
        for (let n = 0; n < 4; n++) {
          const socket = connect(port, { maxVersion, session });
          socket.on('session', (next) => {
            session = next;
          });
          socket.resume();
          await once(socket, 'secureConnect');
          reused.push(socket.isSessionReused());
          await once(socket, 'close');
        }
        see(`${maxVersion}: sessions again`, reused);
      },
    );
  }
}

async function certificates() {
  const say = (socket) =>
    socket.end(`${socket.authorized} ${socket.getPeerCertificate().subject?.CN}`);
  await serving({ requestCert: true, ca: pem }, say, async (port) => {
    const socket = connect(port, identity);
    see('certificate of the client', String(Buffer.concat(await socket.toArray())));
    const none = connect(port, { maxVersion: 'TLSv1.2' });
    see('no certificate', (await once(none, 'error'))[0].code);
  });
}

/** Plain words first, on both sides, then TLS on the same connection. */
async function late() {
  const server = sockets.createServer((socket) => {
    socket.write('220 ready\r\n');
    socket.on('data', function greet(data) {
      if (!String(data).startsWith('STARTTLS')) {
        socket.write('250 go on\r\n');
        return;
      }
      socket.off('data', greet);
      socket.write('220 now\r\n', () =>
        echo(new tls.TLSSocket(socket, { isServer: true, ...identity })),
      );
    });
  });
  const port = await listening(server);
  for (let n = 0; n < 20; n++) {
    const socket = sockets.connect(port, '127.0.0.1');
    const said = [];
    const hear = async () => said.push(String((await once(socket, 'data'))[0]));
    await hear();
    for (const word of ['EHLO', 'NOOP', 'STARTTLS']) {
      socket.write(`${word}\r\n`);
      await hear();
    }
    const secure = tls.connect({ socket, ...trust });
    see(`late ${n}`, [said, await repeated(secure, n + 1)]);
  }
  server.close();
}

/** TLS inside of TLS, as through a secure proxy. */
async function nested() {
  await serving({}, echo, async (port) => {
    const proxy = (socket) => {
      const further = sockets.connect(port, '127.0.0.1');
      pipeline(socket, further, socket).catch(() => {});
    };
    await serving({}, proxy, async (proxyPort) => {
      const socket = tls.connect({ socket: connect(proxyPort), ...trust });
      see('nested', await repeated(socket, 64));
    });
  });
}

async function brokenOff() {
  const breaking = (socket) => socket.once('data', () => socket.destroy());
  await serving({}, breaking, async (port) => {
    const socket = connect(port);
    socket.write('hello');
    see('broken off', await digestOf(socket).catch(({ code }) => code));
  });
  const silent = sockets.createServer((socket) => socket.once('data', () => socket.destroy()));
  const port = await listening(silent);
  const socket = connect(port);
  see('broken off early', (await once(socket, 'error'))[0].code);
  silent.close();
}

for (const part of [echoes, namesAndProtocols, sessions, certificates, late, nested, brokenOff]) {
  await part();
}
