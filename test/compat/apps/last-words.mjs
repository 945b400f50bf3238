// What is still to be said when nothing else keeps the process: bytes that wait on a socket that is unreferenced, and the end of a
// half-open one. A thread of its own hears it.

import { once } from 'node:events';
import net from 'node:net';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  const [port] = await once(worker, 'message');
  const heard = once(worker, 'message');
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  worker.unref();
  socket.write(Buffer.alloc(32 << 20));
  socket.end('last');
  socket.unref();
  socket.resume();
  socket.on('finish', () => console.log(JSON.stringify({ finished: true })));
  void heard;
} else {
  const server = net.createServer((socket) => socket.resume());
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
}
