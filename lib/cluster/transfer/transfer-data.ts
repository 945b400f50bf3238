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

export interface Transfer {
  readonly env: Env;
  readonly operation: Operation;
  readonly cargo: Cargo;
  /** Id of the sender. */
  readonly sourceId: string;
  readonly tools: ShardTools;
  readonly links: readonly NodeLink[];
  /** The id of one of `links` for each shard; asked in the order of the shards. */
  readonly place: (cut: ShardCut) => string;
  /** Hears of each shard that a node has stored; see `Distribution.onStored`. */
  readonly onStored: (cut: ShardCut, nodeId: string, crc32c: number) => Promise<void> | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * Cuts the data and brings each shard to its node. Settles when every shard is checked and stored there.
 * Fails with the first failure of the source, of a node or of the operation; nothing is under way then.
 */
export async function transferData(transfer: Transfer): Promise<TransferReport> {
  const { env, operation, cargo, tools, links, place, onStored, onProgress } = transfer;
  const { id: dataId, version, source, shardBytes, records } = cargo;
  const senders = new Map(
    links.map((link) => [link.nodeId, new NodeSender(link, env.clock, tools)]),
  );
  const startMs = env.clock.nowMs();
  const sizeBytes = await source.measure(env);
  let bytes = 0;
  let shards = 0;
  const pieces = splitSource(env, source, { shardBytes, records, signal: operation.signal });
  await distribute(pieces, [...senders.values()], {
    operation,
    dataId,
    version,
    sourceId: transfer.sourceId,
    extent:
      sizeBytes === undefined || records !== undefined
        ? undefined
        : { count: Math.ceil(sizeBytes / shardBytes), totalBytes: sizeBytes },
    place(cut) {
      const nodeId = place(cut);
      const sender = senders.get(nodeId);
      if (sender === undefined)
        throw new RangeError(`placed on ${nodeId}, which is not in the transfer`);
      return sender;
    },
    onStored(cut, sender, crc32c) {
      bytes += cut.bytes;
      shards++;
      onProgress?.({ dataId, bytes, totalBytes: sizeBytes, shards });
      return onStored(cut, sender.link.nodeId, crc32c);
    },
  });
  const perNode = [...senders.values()].map((sender) => ({
    nodeId: sender.link.nodeId,
    shards: sender.shards,
    bytes: sender.bytes,
    weight: sender.bytes / bytes,
    timeMs: sender.timeMs,
  }));
  const sumMs = perNode.reduce((sum, { timeMs }) => sum + timeMs, 0);
  return { dataId, bytes, shards, perNode, sumMs, wallMs: env.clock.nowMs() - startMs };
}
