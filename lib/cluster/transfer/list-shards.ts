import { PaipaiError } from '../../base/errors.js';
import { shardCountMax } from '../../data/shard.js';
import { decodeShardList, encodeListRequest, type ListedShard, listMethod } from './messages.js';
import { nodeError } from './node-error.js';
import type { NodeLink } from './node-link.js';

/**
 * The shards of one version that lie on a node, by index.
 * @param mapVersion of a shard map that is the caller's, see `ListRequest`
 * Fails: PAIPAI_ERR_NODE_LOST, _DEADLINE (`deadlineMs` for each request), _PROTOCOL.
 */
export async function listShards(
  link: NodeLink,
  dataId: string,
  version: bigint,
  deadlineMs: number,
  mapVersion = 0,
): Promise<ListedShard[]> {
  const all: ListedShard[] = [];
  try {
    for (let fromIndex = 0; ; ) {
      const request = encodeListRequest({ dataId, version, fromIndex, mapVersion });
      const answer = await link.peer.request(listMethod, request, { deadlineMs });
      const { shards, more } = decodeShardList(answer);
      for (const shard of shards) {
        if (shard.index < fromIndex || shard.index >= shardCountMax) throw outOfOrder();
        fromIndex = shard.index + 1;
        all.push(shard);
      }
      if (!more) return all;
    }
  } catch (thrown) {
    throw nodeError(link, thrown);
  }
}

function outOfOrder(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_PROTOCOL',
    `the message ${listMethod} has shards out of order`,
  );
}

/**
 * The shards as what they must be to be one whole: each index once, from 0 to one that says it is the last, each behind the one before,
 * and the same content wherever they lie. Undefined when they are not.
 */
export function wholeOf(
  lists: Iterable<readonly [nodeId: string, shards: readonly ListedShard[]]>,
): { shard: ListedShard; holders: string[] }[] | undefined {
  const found = new Map<number, { shard: ListedShard; holders: string[] }>();
  for (const [nodeId, shards] of lists) {
    for (const shard of shards) {
      const known = found.get(shard.index);
      if (known === undefined) found.set(shard.index, { shard, holders: [nodeId] });
      else if (isSameShard(known.shard, shard)) known.holders.push(nodeId);
      else return undefined;
    }
  }
  const whole = [...found.values()].sort((a, b) => a.shard.index - b.shard.index);
  let offset = 0;
  for (const [at, { shard }] of whole.entries()) {
    const isLast = at === whole.length - 1;
    if (shard.index !== at || shard.offset !== offset || shard.last !== isLast) return undefined;
    offset += shard.bytes;
  }
  return whole.length === 0 ? undefined : whole;
}

export function isSameShard(a: ListedShard, b: ListedShard): boolean {
  return a.offset === b.offset && a.bytes === b.bytes && a.crc32c === b.crc32c && a.last === b.last;
}
