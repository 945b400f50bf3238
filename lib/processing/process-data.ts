import type { Env } from '../base/env.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Progress, TransferReport } from '../cluster/transfer/report.js';
import { type Transfer, transferData } from '../cluster/transfer/transfer-data.js';
import type { ShardCut } from '../data/shard.js';
import { gather } from './gather.js';
import { NodeProcessing, type ProcessingJob } from './node-processing.js';
import type { ProcessResult } from './report.js';

/** Processing seen from the client: over shards that lie on the nodes, or over shards that pass through them. */

export interface ProcessingCall {
  readonly env: Env;
  readonly job: Omit<ProcessingJob, 'drop' | 'onProcessed'>;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** Shards that lie on one node. */
export interface NodeShards {
  readonly link: NodeLink;
  readonly cuts: readonly ShardCut[];
}

/**
 * Has each node process its own shards; with `drop` it gives them back as it goes.
 * Fails with the first failure of a node or of the operation; nothing is under way then.
 */
export async function processStored(
  call: ProcessingCall,
  perNode: readonly NodeShards[],
  drop: boolean,
): Promise<ProcessResult> {
  const totalBytes = perNode.flatMap(({ cuts }) => cuts).reduce((sum, { bytes }) => sum + bytes, 0);
  return processOn(
    call,
    perNode.map(({ link }) => link),
    drop,
    () => totalBytes,
    async (nodes) => {
      await Promise.all(perNode.map(({ cuts }, at) => nodes[at]?.process(cuts)));
      return undefined;
    },
  );
}

/**
 * Sends each shard to its node, has it processed there and dropped, and moves on: what is under way, and with it the memory of
 * either side, is bounded whatever the length of the data.
 */
export async function processPassing(
  call: ProcessingCall,
  transfer: Omit<Transfer, 'onStored' | 'onProgress'>,
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
        onStored: (cut, nodeId) => byId.get(nodeId)?.process([cut]),
      });
    },
  );
}

async function processOn(
  { env, job, onProgress }: ProcessingCall,
  links: readonly NodeLink[],
  drop: boolean,
  totalBytes: () => number | undefined,
  work: (nodes: readonly NodeProcessing[]) => Promise<TransferReport | undefined>,
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
  const nodes = links.map((link) => new NodeProcessing(link, { ...job, drop, onProcessed }));
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
