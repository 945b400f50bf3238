import type { Env } from '../base/env.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Progress, TransferReport } from '../cluster/transfer/report.js';
import type { PlacedShard } from '../cluster/transfer/shard-map.js';
import { type Returns, type Transfer, transferData } from '../cluster/transfer/transfer-data.js';
import type { ShardCut } from '../data/shard.js';
import { gather } from './gather.js';
import { NodeProcessing, type ProcessingJob } from './node-processing.js';
import type { ProcessResult } from './report.js';

/** Processing seen from the client: over shards that lie on the nodes, or over shards that pass through them. */

export interface ProcessingCall {
  readonly env: Env;
  readonly job: Omit<ProcessingJob, 'drop' | 'onProcessed' | 'takerOf' | 'standIn'>;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** Shards that lie on nodes, and which node is to process which. */
export interface StoredShards {
  /** Nodes that may process some. */
  readonly links: readonly NodeLink[];
  readonly perNode: ReadonlyMap<string, readonly PlacedShard[]>;
}

/**
 * Has each node process its own shards; with `drop` it gives them back as it goes. Shards of a node that goes away, or of a copy that came
 * to harm, are processed by others of `links` that hold them.
 * Fails with the first failure of a node or of the operation; nothing is under way then.
 */
export async function processStored(
  call: ProcessingCall,
  { links, perNode }: StoredShards,
  drop: boolean,
): Promise<ProcessResult> {
  const all = [...perNode.values()].flat();
  const totalBytes = all.reduce((sum, { bytes }) => sum + bytes, 0);
  const holders = new Map(all.map((shard) => [shard.index, shard.holders]));
  return processOn(
    call,
    links,
    drop,
    () => totalBytes,
    async (nodes) => {
      await Promise.all(
        nodes.map((node) => {
          const cuts = perNode.get(node.link.nodeId) ?? [];
          return cuts.length === 0 ? undefined : node.process(cuts);
        }),
      );
      return undefined;
    },
    ({ index }) => holders.get(index) ?? [],
  );
}

/** A transfer as far as it is the same whether shards stay where they come or not. */
export type PassingTransfer = Omit<Transfer, 'confirm' | 'returns' | 'onStored' | 'onProgress'>;

/** What a node has processed and not told is gone with it. */
const noReturns: Returns = {
  isAwaited: () => false,
  linkOf: () => undefined,
  wait: () => Promise.resolve(false),
};

/**
 * Sends each shard to its node, has it processed there and dropped, and moves on: what is under way, and with it the memory of
 * either side, is bounded whatever the length of the data.
 */
export async function processPassing(
  call: ProcessingCall,
  transfer: PassingTransfer,
): Promise<ProcessResult> {
  const { source } = transfer.cargo;
  return processOn(
    call,
    transfer.links,
    true,
    () => source.sizeBytes,
    async (nodes) => {
      const byId = new Map(nodes.map((node) => [node.link.nodeId, node]));
      return transferData({
        ...transfer,
        confirm: 1,
        returns: noReturns,
        onStored: (cut, nodeId) => byId.get(nodeId)?.process([cut]),
      });
    },
    () => [], // Each passes through one node alone.
  );
}

async function processOn(
  { env, job, onProgress }: ProcessingCall,
  links: readonly NodeLink[],
  drop: boolean,
  totalBytes: () => number | undefined,
  work: (nodes: readonly NodeProcessing[]) => Promise<TransferReport | undefined>,
  holdersOf: (cut: ShardCut) => readonly string[],
): Promise<ProcessResult> {
  const { operation, dataId, handler } = job;
  const startMs = env.clock.nowMs();
  let bytes = 0;
  let shards = 0;
  const onProcessed = (cuts: readonly ShardCut[]): void => {
    for (const cut of cuts) bytes += cut.bytes;
    shards += cuts.length;
    onProgress?.({ dataId, bytes, totalBytes: totalBytes(), shards });
  };
  const isThere = ({ link }: NodeProcessing): boolean => link.peer.state === 'open';
  const takerOf: ProcessingJob['takerOf'] = (cut, failedIds) => {
    const ids = holdersOf(cut).filter((nodeId) => !failedIds.has(nodeId));
    return nodes.find((node) => ids.includes(node.link.nodeId) && isThere(node));
  };
  const nodes: NodeProcessing[] = links.map(
    (link) =>
      new NodeProcessing(link, {
        ...job,
        drop,
        onProcessed,
        takerOf,
        standIn: (gone) => nodes.find((node) => node !== gone && isThere(node)),
      }),
  );
  const onFailure = (): void => {
    for (const node of nodes) node.stop(operation.signal.reason);
  };
  operation.signal.addEventListener('abort', onFailure, { once: true });
  try {
    operation.throwIfFailed();
    const transfer = await work(nodes);
    const busy = nodes.filter((node) => node.shards > 0);
    const { value, perNode } = await gather(busy, handler);
    operation.throwIfFailed();
    const wallMs = env.clock.nowMs() - startMs;
    const reports = busy.map((node) => ({
      nodeId: node.link.nodeId,
      shards: node.shards,
      bytes: node.bytes,
      timeMs: node.timeMs,
    }));
    const sumMs = reports.reduce((sum, { timeMs }) => sum + timeMs, 0);
    const report = {
      dataId,
      handler,
      bytes,
      shards,
      perNode: reports,
      sumMs,
      wallMs,
      speedUp: sumMs / wallMs,
    };
    return { value, perNode, report, ...(transfer === undefined ? {} : { transfer }) };
  } catch (thrown) {
    operation.fail(thrown);
    operation.throwIfFailed();
    throw thrown;
  } finally {
    operation.signal.removeEventListener('abort', onFailure);
  }
}
