// Connects when hardly a descriptor is left, with none to six to spare, and then with enough; prints what came of it.

import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

const { default: net } = await import(process.argv[2]);

const log = [];
const server = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.end('hello');
});
server.on('error', ({ code }) => log.push(`server ${code}`));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();

async function hear() {
  const socket = net.connect(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('utf8').on('data', (data) => {
    text += data;
  });
  socket.on('connect', () => {
    text += 'connected, ';
  });
  socket.on('error', (error) => {
    text += `${error.code} ${error.syscall} ${error.message.replace(/:\d+/g, ':PORT')} `;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

// What is opened on first use is open.
log.push(await hear());
const taken = [];
const take = () => {
  for (;;) {
    try {
      taken.push(openSync('/dev/null'));
    } catch {
      return;
    }
  }
};
for (let spareCount = 0; spareCount < 7; spareCount++) {
  take();
  for (let i = 0; i < spareCount; i++) closeSync(taken.pop());
  log.push(`${spareCount} to spare: ${await hear()}`);
}
for (const fd of taken) closeSync(fd);
log.push(await hear());
server.close();
console.log(JSON.stringify(log));
