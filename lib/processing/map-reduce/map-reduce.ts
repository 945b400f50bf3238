import { isPaipaiError } from '../../base/errors.js';
import { nodeError } from '../../cluster/transfer/node-error.js';
import { ClientJob, type MapReduceCall } from './client-job.js';
import { type JobNode, phaseReport } from './job-node.js';
import { MapPhase } from './map-phase.js';
import { encodeSealRequest, sealMethod } from './messages.js';
import { ReducePhase } from './reduce-phase.js';
import type { MapReduceResult } from './report.js';

/**
 * Maps every shard where it lies, and reduces each key on one node. A node that goes away takes its outputs along: their maps are done again
 * by others that hold the shards, and then the partitions that were not done yet. What is done stays done.
 * Fails with the first failure of a node (all of them in its cause) or of the operation; nothing is under way then.
 */
export async function mapReduce(call: MapReduceCall): Promise<MapReduceResult> {
  const { env, operation } = call;
  const startMs = env.clock.nowMs();
  const job = new ClientJob(call);
  try {
    operation.throwIfFailed();
    await job.open();
    const maps = new MapPhase(job);
    const reduces = new ReducePhase(job, (partitions) =>
      job.tellProgress('reduce', { ...maps.counts(), partitions }),
    );
    while (!reduces.isDone) {
      await maps.run();
      const outputs = maps.outputs();
      if (await seal(job, outputs)) await reduces.run([...outputs.keys()]);
    }
    return resultOf(job, maps, reduces, env.clock.nowMs() - startMs);
  } catch (thrown) {
    operation.fail(thrown);
    operation.throwIfFailed();
    throw thrown;
  } finally {
    await job.close();
  }
}

/** Says to each node which of its outputs count, perhaps none: all of them reduce what lies with them. False: one went away. */
async function seal(
  job: ClientJob,
  outputs: ReadonlyMap<JobNode, readonly number[]>,
): Promise<boolean> {
  const living = job.nodes.filter(({ isLost }) => !isLost);
  await Promise.all(
    living.map(async (node) => {
      try {
        const tasks = outputs.get(node) ?? [];
        const payload = encodeSealRequest({ jobId: job.jobId, tasks });
        await job.request(node.link, sealMethod, payload);
      } catch (thrown) {
        const error = nodeError(node.link, thrown);
        if (!isPaipaiError(error, 'PAIPAI_ERR_NODE_LOST')) throw error;
        node.isLost = true;
      }
    }),
  );
  job.operation.throwIfFailed();
  return living.every(({ isLost }) => !isLost);
}

function resultOf(
  job: ClientJob,
  maps: MapPhase,
  reduces: ReducePhase,
  wallMs: number,
): MapReduceResult {
  const { nodes, dataId, partitions } = job;
  const map = phaseReport(nodes, 'map', maps.time);
  const reduce = phaseReport(nodes, 'reduce', reduces.time);
  const sumMs = map.sumMs + reduce.sumMs;
  return {
    value: reduces.value,
    report: {
      dataId,
      ...maps.counts(),
      partitions,
      keys: reduces.value.size,
      map,
      shuffle: phaseReport(nodes, 'shuffle', reduces.shuffleTime),
      reduce,
      emittedBytes: nodes.reduce((sum, { emittedBytes }) => sum + emittedBytes, 0),
      localShare: maps.localShare,
      retries: maps.retries + reduces.retries,
      backups: maps.backups,
      spilledBytes: nodes.reduce((sum, { spilledBytes }) => sum + spilledBytes, 0),
      sumMs,
      wallMs,
      speedUp: sumMs / wallMs,
    },
  };
}
