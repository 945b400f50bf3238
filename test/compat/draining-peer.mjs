// A peer in a thread of its own: takes nothing until it is told how much has left, takes that, says 'go', and counts what comes after it.
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { port, said } = workerData;
const socket = connect(port, '127.0.0.1');
socket.pause();
socket.on('error', () => {});
parentPort.once('message', ({ sentBytes, wholeBytes }) => {
  let bytes = 0;
  socket.on('data', (chunk) => {
    const before = bytes;
    bytes += chunk.length;
    if (before < sentBytes && bytes >= sentBytes) {
      socket.write('go', () => {
        Atomics.store(said, 0, 1);
        Atomics.notify(said, 0);
      });
    }
    if (bytes >= wholeBytes) socket.end();
  });
  socket.once('close', () => parentPort.postMessage(bytes));
  socket.resume();
});
