import type { PaipaiCode } from '../../base/codes.js';
import { isPaipaiError, PaipaiError, toError } from '../../base/errors.js';
import type { NodeLink } from './node-link.js';

/** The failure of work on a node, with the node named; PAIPAI_ERR_NODE_LOST when the session with it is over. */
export function nodeError({ nodeId, peer }: NodeLink, thrown: unknown): PaipaiError {
  const error = toError(thrown);
  // A node that is being stopped refuses work before its session ends; to the caller that is one thing.
  const isGone =
    peer.state === 'closed' ||
    isPaipaiError(error, 'PAIPAI_ERR_PEER_CLOSED') ||
    isPaipaiError(error, 'PAIPAI_ERR_CLOSED');
  if (isGone) {
    return new PaipaiError(
      'PAIPAI_ERR_NODE_LOST',
      `node ${nodeId} went away in the middle of the work: ${error.message}`,
      { nodeId, cause: error },
    );
  }
  if (!isPaipaiError(error)) {
    return new PaipaiError('PAIPAI_ERR_REMOTE', `node ${nodeId}: ${error.message}`, {
      nodeId,
      cause: error,
    });
  }
  const { code, message, dataId, shardIndex, mapVersion, handler } = error;
  return new PaipaiError(code, `node ${nodeId}: ${message}`, {
    nodeId,
    cause: error,
    ...(dataId === undefined ? {} : { dataId }),
    ...(shardIndex === undefined ? {} : { shardIndex }),
    ...(mapVersion === undefined ? {} : { mapVersion }),
    ...(handler === undefined ? {} : { handler }),
  });
}

/** What is wrong with one copy of a shard alone, so that another may do. */
const copyFailures: ReadonlySet<PaipaiCode> = new Set([
  'PAIPAI_ERR_NODE_LOST',
  'PAIPAI_ERR_SHARD_CHECKSUM',
  'PAIPAI_ERR_SHARD_INCOMPLETE',
  'PAIPAI_ERR_STORE_FAILED',
  'PAIPAI_ERR_UNKNOWN_DATA',
]);

export function isCopyFailure(error: unknown): error is PaipaiError {
  return isPaipaiError(error) && copyFailures.has(error.code);
}
