import type { PaipaiError } from '../base/errors.js';
import type { NodeLoadFigures } from '../cluster/membership/metadata.js';
import type { PlacementStrategy } from '../cluster/placement/placement.js';
import type { Progress } from '../cluster/transfer/report.js';
import type { IoInUse } from '../native/io.js';
import type { MemberInfo } from '../node/roster.js';
import type { EngineName } from '../transport/frame-channel.js';
import type { Node } from './node.js';

/** What a net answers. */

/** Where the shards of data would go. */
export interface Plan {
  readonly dataId: string;
  readonly bytes: number;
  readonly shards: readonly PlannedShard[];
  readonly perNode: readonly NodePlan[];
}

export interface PlannedShard {
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
  /** One for each copy, the preferred one first. */
  readonly nodeIds: readonly string[];
}

export interface NodePlan {
  readonly nodeId: string;
  /** Copies of shards, and their bytes. */
  readonly shards: number;
  readonly bytes: number;
  /** Its part of the bytes of all copies, 0 to 1. */
  readonly weight: number;
}

/** What would move if nodes came or went, or if everything went where placement puts it now. */
export interface RebalancePlan {
  /** Copies that would be made, and their bytes. */
  readonly copies: number;
  readonly bytes: number;
  /** Of all bytes that lie on nodes, the part that would be copied: 0 and up. */
  readonly part: number;
  readonly moves: readonly PlannedMove[];
  readonly perNode: readonly NodeChange[];
}

export interface PlannedMove {
  readonly dataId: string;
  readonly index: number;
  readonly bytes: number;
  /** Nodes that would get a copy. */
  readonly to: readonly string[];
  /** Nodes that would drop theirs. */
  readonly from: readonly string[];
}

export interface NodeChange {
  readonly nodeId: string;
  /** Of the copies there, now and afterwards. */
  readonly bytes: number;
  readonly bytesAfter: number;
}

/** What a rebalancing did. */
export interface RebalanceReport {
  /** Copies made, and their bytes. */
  readonly copies: number;
  readonly bytes: number;
  /** Copies given up, since they belong elsewhere. */
  readonly dropped: number;
  /** Shards that have fewer copies than their data have replicas, since there are too few nodes. */
  readonly shardsShort: number;
  readonly wallMs: number;
}

/** A node of the net, as this client knows it. */
export interface NodeStatus {
  readonly id: string;
  /**
   * - 'alive': there is a session with it.
   * - 'suspect': there is, but other nodes do not hear from it.
   * - 'lost': it went away; a remote one is tried again.
   */
  readonly state: 'alive' | 'suspect' | 'lost';
  /** Of a remote node. */
  readonly address?: string;
  readonly weight: number;
  readonly pid?: number;
  /** Only of a node that serves the coordinator of the net. */
  readonly coordinates?: true;
  /** Of a node of a net that was joined: what it had to do when the net last heard of a change, which may be long ago. */
  readonly load?: NodeLoadFigures;
}

export interface NetInfo {
  readonly engine: EngineName;
  /** Why this engine. */
  readonly reason: string;
  /** What serves the sockets of this thread, and why; null with the portable engine. */
  readonly io: IoInUse | null;
  /** Version of Node.js. */
  readonly node: string;
  readonly nodes: readonly MemberInfo[];
}

export interface NetEvents {
  progress: [progress: Progress & { readonly phase: 'transfer' | 'process' | 'map' | 'reduce' }];
  /** A node is new, and takes part from now on: one that joined the net which this one has joined, or by `net.joinNode`. */
  join: [node: Node];
  /** In a net that was joined: other nodes do not hear from it; then `alive`, or `fail`, when they give it up. */
  suspect: [node: Node];
  alive: [node: Node];
  fail: [node: Node];
  /** It said goodbye to the net which this one has joined, or was removed by `net.removeNode`; it is no node of this net any more. */
  leave: [node: Node];
  /** A rebalancing in the background is done, or has failed. */
  rebalance: [report: RebalanceReport];
  rebalanceFailed: [error: Error];
  /** The session with a node ended. Work on it fails with PAIPAI_ERR_NODE_LOST; new transfers go to the others. */
  nodeLost: [node: Node, error: PaipaiError];
  /** A remote node that was lost can be reached again. What it still holds of the data counts again. */
  nodeBack: [node: Node];
}

/** Where the shards of data lie, and why. */
export interface Explanation {
  readonly dataId: string;
  /** How many copies each shard should have. */
  readonly replicas: number;
  readonly placement: PlacementStrategy;
  readonly shards: readonly ExplainedShard[];
}

export interface ExplainedShard {
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
  /** Nodes that have confirmed it and are there. */
  readonly nodeIds: readonly string[];
  /** Nodes that have confirmed it and went away. */
  readonly lostNodeIds: readonly string[];
  /** Where placement puts it among the nodes that are there now: what is elsewhere came there before, or in the place of one that went away. */
  readonly belongsTo: readonly string[];
  /** Copies that are missing: `net.repair` makes them as long as there is one. */
  readonly missing: number;
}

/** What a look at the nodes has found of data that they hold from an earlier time. */
export interface FoundData {
  readonly dataId: string;
  readonly bytes: number;
  readonly shards: number;
  /** Nodes that hold some. */
  readonly nodeIds: readonly string[];
}

/** One version of data, as far as nodes hold some of it. */
/** A transaction that a node has promised to follow, whatever becomes of it. */
export interface InDoubtTransaction {
  readonly nodeId: string;
  readonly transactionId: string;
  /** Since the node promised it, or was started anew. */
  readonly forMs: number;
}

export interface HeldData {
  readonly dataId: string;
  readonly version: bigint;
  /** Copies of shards on each of these nodes, and their bytes. */
  readonly perNode: readonly {
    readonly nodeId: string;
    readonly shards: number;
    readonly bytes: number;
  }[];
}

/** The shards of one version of data that nodes hold. */
export interface HeldShards {
  readonly dataId: string;
  readonly version: bigint;
  /** Whether they are all of it, and the nodes agree on them: then `find`, `read` and `process` can use them. */
  readonly isWhole: boolean;
  /** By index; where nodes hold different content under one index, there is one entry for each. */
  readonly shards: readonly HeldShard[];
}

export interface HeldShard {
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
  /** CRC32C of the content. */
  readonly crc32c: number;
  readonly nodeIds: readonly string[];
}
