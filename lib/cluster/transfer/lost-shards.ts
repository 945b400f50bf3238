import { PaipaiError } from '../../base/errors.js';
import type { PlacedShard } from './shard-map.js';

/** Shards that an error names at most. */
const namedShardsMax = 1_000;

/** PAIPAI_ERR_NODE_LOST for `shards`, 1 or more, of which too few copies are on nodes that are there. */
export function lostShards(dataId: string, shards: readonly PlacedShard[]): PaipaiError {
  const nodeIds = [...new Set(shards.flatMap(({ holders }) => holders))];
  const [nodeId] = nodeIds;
  const what = shards.length === 1 ? 'a shard' : `${shards.length} shards`;
  return new PaipaiError(
    'PAIPAI_ERR_NODE_LOST',
    `${what} of data ${dataId} lay on ${nodeIds.join(', ')}, of which too few are there`,
    {
      dataId,
      shardIndexes: shards.slice(0, namedShardsMax).map(({ index }) => index),
      ...(nodeId === undefined ? {} : { nodeId }),
    },
  );
}
