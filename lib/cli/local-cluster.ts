import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { deferred } from '../base/deferred.js';
import type { Env } from '../base/env.js';
import { toError } from '../base/errors.js';
import type { NetMember } from '../cluster/membership/member-list.js';
import { nodeHeartbeat } from '../node/heartbeat.js';
import { launchProcess, type NodeProcess } from '../node/launch.js';
import type { MemberEvent } from '../node/member-events.js';
import { storeBytesDefault } from '../node/node-store.js';
import type { StoreChoice } from '../store/open-store.js';
import { formatAddress, type TcpAddress } from '../transport/address.js';
import { NetStory } from './net-story.js';

export interface LocalClusterOptions {
  readonly env: Env;
  readonly nodeCount: number;
  /** Of the first node; the others get any port of the same host. */
  readonly listen: TcpAddress;
  /** With a folder in which each node has one of its own. */
  readonly store: StoreChoice;
  readonly netName?: string | undefined;
  readonly secret?: Uint8Array | undefined;
  /** URL of the module. */
  readonly handlers?: string | undefined;
  /** A node has ended, though nobody has stopped it: `how` as `exit code 1` or `signal SIGKILL`, and `rest` goes on. */
  readonly onEnded: (node: ClusterNode, how: string, rest: readonly ClusterNode[]) => void;
  /** Something has happened to another node of the net, or to one of these that goes on running. */
  readonly onMember: (event: MemberEvent, member: NetMember) => void;
}

export interface ClusterNode {
  readonly nodeId: string;
  readonly address: string;
  readonly pid: number;
}

/** Nodes in processes of their own that make up a net, for as long as this process lives. */
export class LocalCluster {
  readonly #options: LocalClusterOptions;
  readonly #story: NetStory;
  readonly #running = new Map<string, ClusterNode & { readonly process: NodeProcess }>();
  /** Of all processes that there are, also of nodes that are not ready yet. */
  readonly #pids = new Set<number>();
  readonly #allEnded = deferred<void>();
  #isStarted = false;
  #isStopping = false;

  constructor(options: LocalClusterOptions) {
    this.#options = options;
    this.#story = new NetStory(nodeIds(options.nodeCount), (event, member) => {
      if (!this.#isStopping) options.onMember(event, member);
    });
  }

  /**
   * Once. Settles when all nodes run and have joined. When one does not start, the others are stopped again.
   * Fails as `launchProcess` does.
   */
  async start(): Promise<void> {
    const { listen, nodeCount } = this.#options;
    const [first = '', ...others] = nodeIds(nodeCount);
    try {
      const { address } = await this.#launch(first, listen, []);
      const anyPort = { ...listen, port: 0 };
      const launched = await Promise.allSettled(
        others.map((nodeId) => this.#launch(nodeId, anyPort, [address])),
      );
      const failures = launched.flatMap((one) =>
        one.status === 'rejected' ? [toError(one.reason)] : [],
      );
      if (failures.length > 1) throw new AggregateError(failures, 'nodes did not start');
      if (failures[0] !== undefined) throw failures[0];
    } catch (thrown) {
      await this.stop();
      throw thrown;
    }
    this.#isStarted = true;
    this.#checkAllEnded();
  }

  /** Those that run, in the order of their names. */
  get nodes(): ClusterNode[] {
    return nodeIds(this.#options.nodeCount).flatMap((id) => {
      const running = this.#running.get(id);
      if (running === undefined) return [];
      const { nodeId, address, pid } = running;
      return [{ nodeId, address, pid }];
    });
  }

  /** Settles when all have been started and the last of them has ended. */
  get allEnded(): Promise<void> {
    return this.#allEnded.promise;
  }

  /** Settles when none of the processes is left. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#running.values()].map(({ process }) => process.stop()));
  }

  /** Kills them at once, for a process that ends and cannot wait for `stop`. */
  kill(): void {
    this.#isStopping = true;
    for (const pid of this.#pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended, and this process has not heard of it yet.
      }
    }
  }

  async #launch(
    nodeId: string,
    listen: TcpAddress,
    seeds: readonly string[],
  ): Promise<ClusterNode> {
    const { env, nodeCount, netName, secret, handlers, store, onEnded } = this.#options;
    const child = await launchProcess(
      env,
      {
        nodeId,
        listen: formatAddress(listen),
        ...(seeds.length === 0 ? {} : { join: seeds }),
        netName,
        handlers,
        store: ownStore(store, nodeId),
        heartbeat: nodeHeartbeat,
        // They share this machine.
        workers: Math.max(1, Math.floor(availableParallelism() / nodeCount)),
        storeBytesMax: Math.floor(storeBytesDefault() / nodeCount),
        ...(secret === undefined ? {} : { secret }),
      },
      {
        onEvent: (event, member) => this.#story.hear(nodeId, event, member),
        onSpawned: (pid) => this.#pids.add(pid),
        onGone: (pid) => this.#pids.delete(pid),
      },
    );
    const node = { nodeId, address: child.address, pid: child.pid };
    this.#running.set(nodeId, { ...node, process: child });
    void child.ended.then((how) => {
      this.#running.delete(nodeId);
      this.#story.end(nodeId);
      if (!this.#isStopping) onEnded(node, how, this.nodes);
      this.#checkAllEnded();
    });
    return node;
  }

  #checkAllEnded(): void {
    if (this.#isStarted && this.#running.size === 0) this.#allEnded.resolve();
  }
}

/** `node-1`, `node-2` … */
function nodeIds(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `node-${at + 1}`);
}

function ownStore(store: StoreChoice, nodeId: string): StoreChoice {
  if (store === 'memory') return store;
  return 'lmdb' in store
    ? { ...store, lmdb: join(store.lmdb, nodeId) }
    : { ...store, files: join(store.files, nodeId) };
}
