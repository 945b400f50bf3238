import type { Env } from '../../base/env.js';
import type { RecordKind, ShardCut } from '../../data/shard.js';
import type { DataSource } from '../../data/source.js';
import { splitSource } from '../../data/splitter.js';
import { distribute } from './distribute.js';
import type { NodeLink } from './node-link.js';
import { NodeSender } from './node-sender.js';
import type { Operation } from './operation.js';
import type { Progress, TransferReport } from './report.js';
import type { ShardTools } from './shard-tools.js';

/** What is to be transferred, and how it is cut. */
export interface Cargo {
  readonly id: string;
  readonly version: bigint;
  readonly source: DataSource;
  readonly shardBytes: number;
  readonly records: RecordKind | undefined;
}

export interface Returns {
  /** Whether the node can come back at all. */
  isAwaited(nodeId: string): boolean;
  /** Its link, when it is there. */
  linkOf(nodeId: string): NodeLink | undefined;
  /** Settles when it is there again; with false when it does not come back in time. */
  wait(nodeId: string, operation: Operation): Promise<boolean>;
}

export interface Transfer {
  readonly env: Env;
  readonly operation: Operation;
  readonly cargo: Cargo;
  /** Id of the sender. */
  readonly sourceId: string;
  /** See `Shipment`. */
  readonly mapVersion: number;
  readonly tools: ShardTools;
  readonly links: readonly NodeLink[];
  /**
   * Ids of as many distinct `links` for each shard as it has copies; asked in the order of the shards. A promise, which settles also when
   * the operation fails, puts that off, and with it the shards behind.
   */
  readonly place: (cut: ShardCut) => readonly string[] | Promise<readonly string[]>;
  /** Copies of each shard that must be confirmed; see `Distribution.confirm`. */
  readonly confirm: number;
  /** Nodes that went away, and may come back. */
  readonly returns: Returns;
  /**
   * Bytes of shards that are on their way to a node at once; default as many as its window has room for. Streams share a connection
   * fairly, so that of many that begin together the first is there when nearly all are.
   */
  readonly writingBytesMax?: number;
  /** Hears of each copy that a node has stored; see `Distribution.onStored`. */
  readonly onStored: (cut: ShardCut, nodeId: string, crc32c: number) => Promise<void> | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * Cuts the data and brings each shard to its nodes. Settles when every copy is checked and stored there. Where a node goes away, another
 * takes over what it has not confirmed of shards with several copies; else it gets that anew when it comes back.
 * Fails with the first failure of the source, of a node or of the operation; nothing is under way then.
 */
export async function transferData(transfer: Transfer): Promise<TransferReport> {
  const { env, operation, cargo, tools, links, place, confirm, returns } = transfer;
  const { onStored, onProgress, writingBytesMax = Infinity } = transfer;
  const { id: dataId, version, source, shardBytes, records } = cargo;
  const senders = new Map(
    links.map((link) => [link.nodeId, new NodeSender(link, env.clock, tools, writingBytesMax)]),
  );
  /** Whether the node of the sender is there, perhaps by a new link. */
  const renewed = (sender: NodeSender): boolean => {
    if (sender.link.peer.state === 'open') return true;
    const link = returns.linkOf(sender.link.nodeId);
    if (link !== undefined) sender.link = link;
    return link !== undefined;
  };
  const sendersOf = (nodeIds: readonly string[]): NodeSender[] =>
    nodeIds.map((nodeId) => {
      const sender = senders.get(nodeId);
      if (sender === undefined) {
        throw new RangeError(`placed on ${nodeId}, which is not in the transfer`);
      }
      renewed(sender);
      return sender;
    });
  const startMs = env.clock.nowMs();
  const sizeBytes = await source.measure(env);
  let bytes = 0;
  let shards = 0;
  const pieces = splitSource(env, source, { shardBytes, records, signal: operation.signal });
  await distribute(pieces, [...senders.values()], {
    operation,
    shipment: { dataId, version, sourceId: transfer.sourceId, mapVersion: transfer.mapVersion },
    extent:
      sizeBytes === undefined || records !== undefined
        ? undefined
        : { count: Math.ceil(sizeBytes / shardBytes), totalBytes: sizeBytes },
    place(cut) {
      const placed = place(cut);
      return placed instanceof Promise ? placed.then(sendersOf) : sendersOf(placed);
    },
    confirm,
    replace(taken) {
      const others = [...senders.values()].filter((sender) => !taken.has(sender));
      return leastFilled(others.filter(renewed));
    },
    mayReturn: ({ link }) => returns.isAwaited(link.nodeId),
    renew: async (sender) =>
      renewed(sender) || ((await returns.wait(sender.link.nodeId, operation)) && renewed(sender)),
    onStored: (cut, sender, crc32c) => onStored(cut, sender.link.nodeId, crc32c),
    onWhole(cut) {
      bytes += cut.bytes;
      shards++;
      onProgress?.({ dataId, bytes, totalBytes: sizeBytes, shards });
    },
  });
  const movedBytes = [...senders.values()].reduce((sum, sender) => sum + sender.bytes, 0);
  const perNode = [...senders.values()].map((sender) => ({
    nodeId: sender.link.nodeId,
    shards: sender.shards,
    bytes: sender.bytes,
    weight: sender.bytes / movedBytes,
    timeMs: sender.timeMs,
  }));
  const sumMs = perNode.reduce((sum, { timeMs }) => sum + timeMs, 0);
  return { dataId, bytes, shards, perNode, sumMs, wallMs: env.clock.nowMs() - startMs };
}

function leastFilled(senders: readonly NodeSender[]): NodeSender | undefined {
  return senders.reduce<NodeSender | undefined>(
    (least, sender) => (least === undefined || sender.bytes < least.bytes ? sender : least),
    undefined,
  );
}
