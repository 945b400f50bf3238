import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkStore, type StoreChoice } from '../store/open-store.js';
import { nodeHeartbeat } from './heartbeat.js';
import type { MembershipConfig } from './node-membership.js';
import { type RunningNode, startNode } from './runtime.js';
import type { EngineChoice } from './select-network.js';

export interface RunNodeOptions extends MembershipConfig {
  /** `tcp://host:port` (port 0: any) or `unix:///path`. Beyond this machine a secret is required. */
  readonly listen: string;
  /** Module of handlers: a path, or a `file:` URL. Without one only the built-in `digest` is there. */
  readonly handlers?: string | URL;
  /** Name of the net; both sides must agree. Default 'default'. */
  readonly name?: string;
  readonly secret?: string | Uint8Array;
  /** What the node calls itself; no two of a net may have the same. Default: made up. */
  readonly nodeId?: string;
  /** Default 'auto'. */
  readonly engine?: EngineChoice;
  /** Default 'memory'. */
  readonly store?: StoreChoice;
  /** Whether it serves the coordinator of the net; one node of a net does at most. Default false. */
  readonly coordinator?: boolean;
  /** Ids of the nodes that coordinate the net together, this one included: 3, 5 or 7; with a store on disk. Default: it is none of them. */
  readonly quorum?: readonly string[];
}

/** Runs a node in this process, for nets elsewhere that add it by its address. Fails as `startNode` does. */
export async function runNode(options: RunNodeOptions): Promise<RunningNode> {
  const { listen, handlers, name, secret, nodeId, engine, store, coordinator, quorum } = options;
  const { join, hubs, advertise, weight } = options;
  return startNode({
    listen,
    nodeId: nodeId ?? `node-${randomUUID()}`,
    netName: name,
    secret,
    handlers: handlers === undefined ? undefined : moduleUrl(handlers),
    engine,
    store: checkStore(store ?? 'memory'),
    coordinator,
    quorum,
    heartbeat: nodeHeartbeat,
    join,
    hubs,
    advertise,
    weight,
  });
}

/** The URL of a module that is given as a path or as a URL. */
export function moduleUrl(module: string | URL): string {
  if (module instanceof URL) return module.href;
  return /^(file|data|node):/.test(module) ? module : pathToFileURL(resolve(module)).href;
}
