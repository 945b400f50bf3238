// Threads that are ended in the middle of traffic, from outside and from inside, several times over; the other end of their connections
// is here. Prints what it heard.

import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

if (isMainThread) {
  const module = process.argv[2];
  const { default: net } = await import(module);
  const log = [];
  for (const how of ['terminated', 'exits', 'throws', 'ends']) {
    for (const role of ['client', 'server']) {
      const outcome = [];
      const server = net.createServer();
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { module, how, role, port: server.address().port },
      });
      worker.on('error', ({ message }) => outcome.push(`error: ${message}`));
      const connecting = once(server, 'connection');
      const [theirPort] = await once(worker, 'message');
      const [socket] = role === 'client' ? await connecting : [net.connect(theirPort, '127.0.0.1')];
      socket.on('error', () => {});
      const closing = new Promise((resolve) => socket.once('close', resolve));
      // Both sides say much, and this one does not stop before the other is gone.
      socket.on('drain', () => socket.write(Buffer.alloc(1 << 20)));
      socket.write(Buffer.alloc(1 << 20));
      await once(socket, 'data');
      socket.resume();
      if (how === 'terminated') await worker.terminate();
      else {
        const exiting = new Promise((resolve) => worker.once('exit', resolve));
        worker.postMessage('go');
        outcome.push(`exit ${await exiting}`);
      }
      await closing;
      server.close();
      log.push(`${how}, ${role}: ${outcome}`);
    }
  }
  console.log(JSON.stringify(log));
} else {
  const { module, how, role, port } = workerData;
  const { default: net } = await import(module);
  const talk = (socket) => {
    socket.on('error', () => {});
    socket.resume();
    socket.on('drain', () => socket.write(Buffer.alloc(1 << 20)));
    socket.write(Buffer.alloc(1 << 20));
    parentPort.once('message', () => {
      if (how === 'exits') process.exit(7);
      if (how === 'throws') throw new Error('thrown by a thread');
      // Nothing keeps it any more.
      socket.destroy();
      server?.close();
    });
  };
  let server;
  if (role === 'client') {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    talk(socket);
    parentPort.postMessage(port);
  } else {
    server = net.createServer(talk);
    server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
  }
}
