import { Data } from '../api/data.js';
import type { Net } from '../api/net.js';
import type { HeldShards } from '../api/types.js';
import { PaipaiError } from '../base/errors.js';
import type { Limits } from './client.js';

/** Data that lie on the nodes of a net, by their id alone. */

export interface StoredChoice {
  readonly id: string;
  /** Undefined: the newest. */
  readonly version: bigint | undefined;
  /** How many copies of each shard there should be. Undefined: as many as there are of the one that has most. */
  readonly replicas?: number | undefined;
}

/** Shards that an error names at most. */
const namedShardsMax = 1_000;

/**
 * Adds the data to the net, as `net.find` takes them. The newest version counts also when it is not whole: an older one in its place would be a
 * wrong answer that nobody notices.
 * Fails: PAIPAI_ERR_UNKNOWN_DATA, PAIPAI_ERR_SHARD_INCOMPLETE, and as `Net.contents` and `Net.find` do.
 */
export async function findStored(
  net: Net,
  { id, version: wanted, replicas }: StoredChoice,
  limits: Limits,
): Promise<Data> {
  const version = wanted ?? (await newestVersion(net, id, limits));
  const held = await net.shardsOf(Data.stored(id, { version }), limits);
  if (held.shards.length === 0) {
    throw unknownData(net, id, wanted === undefined ? '' : ` version ${version}`);
  }
  if (!held.isWhole) throw incomplete(held);
  const { most } = copiesOf(held);
  const data = Data.stored(id, { version, replicas: replicas ?? Math.min(16, most) });
  net.addData(data);
  if ((await net.find(data, limits)) === undefined) throw incomplete(held);
  return data;
}

/** On how many nodes the shards lie. Of none: 0. */
export function copiesOf({ shards }: HeldShards): {
  readonly least: number;
  readonly most: number;
} {
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  for (const { nodeIds } of shards) {
    least = Math.min(least, nodeIds.length);
    most = Math.max(most, nodeIds.length);
  }
  return { least: Math.min(least, most), most };
}

async function newestVersion(net: Net, id: string, limits: Limits): Promise<bigint> {
  const held = await net.contents({ ...limits, dataId: id });
  const newest = held.at(-1); // They are sorted.
  if (newest === undefined) throw unknownData(net, id, '');
  return newest.version;
}

function unknownData(net: Net, dataId: string, version: string): PaipaiError {
  const volatile = net.info().nodes.filter(({ isDurable }) => !isDurable);
  const hint =
    volatile.length === 0
      ? 'paipainet ls data shows what there is'
      : `${volatile.length} of them keep shards in memory, where what others put is not seen`;
  return new PaipaiError(
    'PAIPAI_ERR_UNKNOWN_DATA',
    `no node that is there holds data ${dataId}${version}; ${hint}`,
    { dataId },
  );
}

function incomplete({ dataId, version, shards }: HeldShards): PaipaiError {
  const what = `data ${dataId} version ${version}`;
  const indexes = new Set(shards.map(({ index }) => index));
  const last = shards.at(-1)?.index ?? -1; // They are sorted.
  const missing: number[] = [];
  for (let index = 0; index < last && missing.length < namedShardsMax; index++) {
    if (!indexes.has(index)) missing.push(index);
  }
  const [first] = missing;
  const why =
    first !== undefined
      ? `of ${what} shard ${first}${missing.length === 1 ? '' : ' and others'} is on no node that is there`
      : indexes.size < shards.length
        ? `the nodes do not agree on ${what}`
        : `of ${what} what comes behind shard ${last} is on no node that is there`;
  return new PaipaiError(
    'PAIPAI_ERR_SHARD_INCOMPLETE',
    `${why}: start the nodes that hold the rest, or put the data again (put --force)`,
    { dataId, ...(first === undefined ? {} : { shardIndex: first, shardIndexes: missing }) },
  );
}
