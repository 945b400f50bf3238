// Leaves in the way that its second argument says, with sockets open and bytes that wait on them.

import { once } from 'node:events';

const [, , module, how] = process.argv;
const { default: net } = await import(module);

process.on('exit', (code) => console.log(`exit ${code}`));
const server = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', () => {
    if (how === 'in a handler') process.exit(3);
    if (how.startsWith('thrown')) {
      process.nextTick(() => console.log('a tick that was left'));
      void Promise.resolve().then(() => console.log('a promise that was left'));
    }
    if (how === 'thrown in a handler') throw new Error('thrown by data');
    if (how === 'rejected in a handler') void Promise.reject(new Error('rejected by data'));
    if (how === 'thrown in a tick') {
      process.nextTick(() => {
        throw new Error('thrown by a tick');
      });
    }
    if (how === 'aborted by a signal') process.kill(process.pid, 'SIGTERM');
  });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const client = net.connect(server.address().port, '127.0.0.1');
client.on('error', () => {});
const [accepted] = await once(server, 'connection');
if (client.connecting) await once(client, 'connect');
if (how !== 'unhandled error') accepted.write('unread');
if (how === 'unhandled error') {
  client.removeAllListeners('error');
  client.resume();
  accepted.resetAndDestroy();
} else if (how === 'in a callback') {
  client.write('x', () => process.exit(4));
} else if (how === 'with bytes that wait') {
  accepted.pause();
  client.write(Buffer.alloc(32 << 20));
  setImmediate(() => process.exit(6));
} else if (how === 'unreferenced') {
  for (const each of [server, client, accepted]) each.unref();
} else if (how === 'closed') {
  client.end();
  accepted.end();
  client.resume();
  accepted.resume();
  server.close();
} else {
  client.write('x');
}
