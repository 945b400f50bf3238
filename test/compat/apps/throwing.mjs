// One connection whose handlers throw, beside one whose handlers do not; prints what was uncaught and what the other received.

import { once } from 'node:events';
import net from 'node:net';

const uncaught = [];
process.on('uncaughtException', (error) => uncaught.push(error.message));

const server = net.createServer((socket) => {
  socket.on('data', (data) => {
    if (data.length > 1) {
      process.nextTick(() => {
        throw new Error('thrown by a tick');
      });
      process.nextTick(() => {
        throw new Error('thrown by another');
      });
    }
    throw new Error('thrown by data');
  });
});
const good = net.createServer((socket) => socket.pipe(socket));
for (const each of [server, good]) {
  each.listen(0, '127.0.0.1');
  await once(each, 'listening');
}
const bad = net.connect(server.address().port, '127.0.0.1');
const fine = net.connect(good.address().port, '127.0.0.1');
await Promise.all([once(bad, 'connect'), once(fine, 'connect')]);
bad.write('x');
fine.end('fine');
let others = '';
fine.setEncoding('utf8');
fine.on('data', (text) => {
  others += text;
});
await once(fine, 'close');
while (uncaught.length < 1) await new Promise((resolve) => setImmediate(resolve));
// The connection goes on.
bad.write('y');
while (uncaught.length < 2) await new Promise((resolve) => setImmediate(resolve));
bad.write('zz');
while (uncaught.length < 5) await new Promise((resolve) => setImmediate(resolve));
// Nobody listens for the error of a reset.
bad.resetAndDestroy();
while (uncaught.length < 6) await new Promise((resolve) => setImmediate(resolve));
server.close();
good.close();
console.log(JSON.stringify({ uncaught, others, badBytes: bad.bytesWritten }));
