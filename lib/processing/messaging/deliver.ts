import { PaipaiError, toError } from '../../base/errors.js';
import { nodeError } from '../../cluster/transfer/node-error.js';
import type { NodeLink } from '../../cluster/transfer/node-link.js';
import type { Operation } from '../../cluster/transfer/operation.js';
import { decodeValue } from '../../wire/values.js';
import { encodeMessageRequest, type Message, messageMethod } from './message.js';

/** What became of a message to all nodes. Each node that was there is in one of the lists, once. */
export interface BroadcastResult {
  /** Nodes whose handler has taken the message, with what it returned. */
  readonly confirmed: readonly { readonly nodeId: string; readonly value: unknown }[];
  /** The others. Of one that failed with PAIPAI_ERR_NODE_LOST, _DEADLINE or _ABORTED it is not known whether its handler ran. */
  readonly failed: readonly { readonly nodeId: string; readonly error: PaipaiError }[];
}

/** Sends a message to one node, once; settles with what its handler returned. `nodeId` is in the error. */
export async function deliver(
  link: NodeLink,
  { topic, value }: Message,
  operation: Operation,
): Promise<unknown> {
  const { nodeId, peer } = link;
  try {
    const answer = await peer.request(
      messageMethod,
      encodeMessageRequest({ topic, value, nodeId }),
      { deadlineMs: operation.remainingMs(), signal: operation.signal },
    );
    return decodeValue(answer);
  } catch (thrown) {
    throw operation.hasFailed ? endOf(operation, nodeId) : nodeError(link, thrown);
  }
}

/** Sends a message to each of `links`, all at the same time. Never rejects. */
export async function deliverToAll(
  links: readonly NodeLink[],
  message: Message,
  operation: Operation,
): Promise<BroadcastResult> {
  const outcomes = await Promise.allSettled(links.map((link) => deliver(link, message, operation)));
  const confirmed: BroadcastResult['confirmed'][number][] = [];
  const failed: BroadcastResult['failed'][number][] = [];
  for (const [at, outcome] of outcomes.entries()) {
    const nodeId = links[at]?.nodeId ?? '';
    if (outcome.status === 'fulfilled') confirmed.push({ nodeId, value: outcome.value });
    else failed.push({ nodeId, error: outcome.reason }); // `deliver` throws nothing else.
  }
  return { confirmed, failed };
}

/** Why the operation ended, for this node. */
function endOf(operation: Operation, nodeId: string): PaipaiError {
  const error = toError(operation.signal.reason);
  const code = error instanceof PaipaiError ? error.code : 'PAIPAI_ERR_ABORTED';
  return new PaipaiError(code, `node ${nodeId}: ${error.message}`, { nodeId, cause: error });
}
