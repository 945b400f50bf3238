import type { Env } from '../base/env.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Roster } from '../node/roster.js';
import type { Engine } from '../node/select-network.js';
import type { NetNodes } from './net-nodes.js';
import type { ShardKeeper } from './shard-keeper.js';
import type { ShardMaps } from './shard-maps.js';

/** What the parts of a running net share. */
export interface StartedNet {
  readonly env: Env;
  readonly clientId: string;
  readonly engine: Engine;
  readonly nodes: NetNodes;
  readonly roster: Roster;
  readonly keeper: ShardKeeper;
  readonly maps: ShardMaps;
}

/** Of the one node, or of all that are there, 1 or more. @throws PaipaiError PAIPAI_ERR_NODE_LOST. */
export function linksOf({ nodes, roster }: StartedNet, nodeId?: string): NodeLink[] {
  const ids = nodeId === undefined ? nodes.living().map(({ id }) => id) : [nodeId];
  return ids.map((id) => roster.link(id));
}
