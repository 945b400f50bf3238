import type { Peer } from '../../session/types.js';
import { ByteWindow } from './byte-window.js';

/** A node as the client sees it, shared by everything that is under way to it. */
export interface NodeLink {
  /** The name it has in the net. */
  readonly nodeId: string;
  readonly peer: Peer;
  /** Shards that are sent and not confirmed, or not processed when they only pass through. */
  readonly shardWindow: ByteWindow;
  /** Streams that process, merge or bring shards back. */
  readonly callWindow: ByteWindow;
  /** Streams that are read to feed another one: whoever waits here holds a call, so these have a window of their own. */
  readonly relayWindow: ByteWindow;
}

/**
 * Under way to one node: enough that the next shards have their credit before the earlier ones are confirmed, so that the
 * connection never idles; little enough that the node stays small. Under way to all of them: little enough that we do.
 */
const nodeBytesMax = 32 * 1024 * 1024;
const nodeBytesLeast = 4 * 1024 * 1024;
const allBytesMax = 64 * 1024 * 1024;
const nodeShardsMax = 64;
/** Together with the shards well below the streams that a session allows. */
const nodeCallsMax = 256;

/** @param nodeCount how many nodes the net has */
export function linkNode(nodeId: string, peer: Peer, nodeCount: number): NodeLink {
  const share = Math.floor(allBytesMax / nodeCount);
  const bytesMax = Math.max(nodeBytesLeast, Math.min(nodeBytesMax, share));
  return {
    nodeId,
    peer,
    shardWindow: new ByteWindow(bytesMax, nodeShardsMax),
    callWindow: new ByteWindow(Infinity, nodeCallsMax),
    relayWindow: new ByteWindow(Infinity, nodeCallsMax),
  };
}
