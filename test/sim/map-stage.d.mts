import type { MapValue } from '../../dist/cluster/transfer/map-value.js';
import type { Data, Net, NetOptions, Node } from '../../dist/index.js';
import type { Code } from './cluster-scenario.mjs';

export interface StagedDisk {
  readonly synced: Map<string, unknown>;
  /** What is kept beside the shards, by folder. */
  readonly journals: Map<string, Map<string, unknown>>;
}

type Handlers = Readonly<Record<string, (...args: never[]) => unknown>>;

export class MapStage {
  constructor(code: Code, handlers?: Handlers);
  open(): Promise<void>;
  startNode(name: string): void;
  crash(name: string): void;
  stall(name: string, forMs: number): void;
  disk(name: string): StagedDisk;
  client(name: string, nodes?: readonly string[], options?: NetOptions): Promise<Net>;
  node(id: string, name?: string): Node;
  data(
    net: Net,
    content?: Uint8Array | AsyncIterable<Uint8Array>,
    options?: { id?: string; shardBytes?: number; replicas?: number },
  ): Data;
  map(net: Net, id?: string): Promise<MapValue | undefined>;
  gone(net: Net, id?: string): Promise<string[]>;
  run<T>(promise: Promise<T>): Promise<T>;
  until(isReached: () => boolean): Promise<void>;
  pass(ms: number): Promise<boolean>;
}
