import type { IncomingRequest } from '../../session/types.js';
import type { WorkerPool } from '../worker-pool.js';
import { decodeMessageRequest } from './message.js';

/** Answers `node.message`: on a worker, so that the node answers others while a handler works. */
export async function serveMessage(
  { peer, payload, signal }: IncomingRequest,
  pool: WorkerPool,
): Promise<Uint8Array> {
  const { topic, value, nodeId } = decodeMessageRequest(payload);
  const { answer } = await pool.run(
    {
      kind: 'message',
      handler: topic,
      from: peer.remoteNodeId,
      nodeId,
      // Alone: with a view all of the memory under it would be copied to the worker.
      value: value.slice(),
    },
    { deadlineMs: Infinity, signal }, // The signal fires at the deadline of the sender.
  );
  return answer;
}
