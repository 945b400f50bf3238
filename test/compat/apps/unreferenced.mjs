// A client that is unreferenced while it connects, to a server in another thread that stays; the process must end by itself.

import { once } from 'node:events';
import net from 'node:net';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  const [port] = await once(worker, 'message');
  worker.unref();
  const socket = net.connect(port, '127.0.0.1');
  socket.unref();
  const keeper = setInterval(() => {}, 1_000);
  await once(socket, 'connect');
  clearInterval(keeper);
  console.log(JSON.stringify({ connected: true }));
} else {
  const server = net.createServer((socket) => socket.resume());
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
}
