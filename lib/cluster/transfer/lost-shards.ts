import { PaipaiError } from '../../base/errors.js';
import type { PlacedShard } from './shard-map.js';

/** Shards that an error names at most. */
const namedShardsMax = 1_000;

/** PAIPAI_ERR_NODE_LOST for `shards`, 1 or more, of which too few copies are on nodes that are there. */
export function lostShards(
  dataId: string,
  shards: readonly Pick<PlacedShard, 'index' | 'holders'>[],
): PaipaiError {
  const nodeIds = [...new Set(shards.flatMap(({ holders }) => holders))];
  const [nodeId] = nodeIds;
  const what = shards.length === 1 ? 'a shard' : `${shards.length} shards`;
  const where =
    nodeIds.length === 0 ? 'no node any more' : `${nodeIds.join(', ')}, of which too few are there`;
  return new PaipaiError('PAIPAI_ERR_NODE_LOST', `${what} of data ${dataId} lay on ${where}`, {
    dataId,
    shardIndexes: shards.slice(0, namedShardsMax).map(({ index }) => index),
    ...(nodeId === undefined ? {} : { nodeId }),
  });
}

/**
 * What a read fails with when no node could give some shards, 1 or more, as they were sent: the failure of the first, with all of them named.
 * @param failures by index of the shard
 */
export function unreadShards(
  dataId: string,
  failures: ReadonlyMap<number, PaipaiError>,
): PaipaiError {
  const named = [...failures].sort(([a], [b]) => a - b).slice(0, namedShardsMax);
  const [first] = named;
  if (first === undefined) throw new RangeError('there is no failure');
  const [, error] = first;
  const { code, nodeId, message } = error;
  const what = failures.size === 1 ? 'a shard' : `${failures.size} shards`;
  return new PaipaiError(code, `${what} of data ${dataId} cannot be read: ${message}`, {
    dataId,
    shardIndexes: named.map(([index]) => index),
    ...(nodeId === undefined ? {} : { nodeId }),
    cause: failures.size === 1 ? error : new AggregateError(named.map(([, one]) => one)),
  });
}
