import type { PaipaiError } from '../base/errors.js';
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
  /** A node went away. Work on it fails with PAIPAI_ERR_NODE_LOST; new transfers go to the others. */
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
