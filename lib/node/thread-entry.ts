import { parentPort, workerData } from 'node:worker_threads';
import { failedStart, type StartReport } from './entry-messages.js';
import { startNode } from './runtime.js';

/** An embedded node as a thread of its starter. Any message to it ends the node in order. */

async function main(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('thread-entry is started by a net, as a worker thread');
  const report = (message: StartReport): void => port.postMessage(message);
  try {
    const node = await startNode(workerData); // A NodeConfig, from launch.ts.
    port.once('message', async () => {
      await node.close();
      port.close();
    });
    report({ kind: 'ready', address: node.address });
  } catch (thrown) {
    report(failedStart(thrown));
  }
}

void main();
