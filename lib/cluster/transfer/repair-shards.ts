import type { Env } from '../../base/env.js';
import { isPaipaiError } from '../../base/errors.js';
import type { ShardCut } from '../../data/shard.js';
import { ByteWindow } from './byte-window.js';
import { type Fetch, ShardFetcher } from './fetch-shards.js';
import { isCopyFailure } from './node-error.js';
import type { RepairReport } from './report.js';
import { type Copying, ShardCopier } from './shard-copier.js';
import type { PlacedShard } from './shard-map.js';

export interface Repair {
  readonly env: Env;
  readonly fetch: Fetch;
  /** Its `links` are all nodes that are there, 1 or more. */
  readonly copying: Copying;
  /** Copies that each shard should have. */
  readonly replicas: number;
  /** Ids of `count` distinct nodes of these: where copies of the shard belong. */
  readonly place: (cut: ShardCut, count: number) => readonly string[];
  /** Hears of each copy made. */
  readonly onStored: (shard: PlacedShard, nodeId: string) => void;
}

/** Content of shards that are between two nodes. */
const passingBytesMax = 64 * 1024 * 1024;
const passingShardsMax = 64;

/**
 * Copies shards (all of the data, by index) of which too few lie on nodes that are there to others of these, until each has
 * `replicasX
 */
export async function repairShards(
  repair: Repair,
  shards: readonly PlacedShard[],
): Promise<RepairReport> {
  const { env, fetch, copying, replicas, onStored } = repair;
  const { operation, dataId } = fetch;
  const startMs = env.clock.nowMs();
  const copier = new ShardCopier(copying);
  const fetcher = new ShardFetcher(fetch);
  const passing = new ByteWindow(passingBytesMax, passingShardsMax);
  const present = new Set(copying.links.map(({ nodeId }) => nodeId));
  let shardsShort = 0;
  let damage: Error | undefined;

  const copyTo = async (
    shard: PlacedShard,
    content: Uint8Array,
    nodeId: string,
  ): Promise<number> => {
    try {
      await copier.copy(shard, content, nodeId);
    } catch (thrown) {
      if (isPaipaiError(thrown, 'PAIPAI_ERR_NODE_LOST') && !operation.hasFailed) return 0;
      throw thrown;
    }
    onStored(shard, nodeId);
    return 1;
  };
  /** False when no node has it as it was any more; the others are mended all the same. */
  const fetchOne = async (shard: PlacedShard, content: Uint8Array): Promise<boolean> => {
    try {
      await fetcher.fetch(shard, content);
      return true;
    } catch (thrown) {
      if (operation.hasFailed || !isCopyFailure(thrown)) throw thrown;
      if (thrown.code !== 'PAIPAI_ERR_NODE_LOST') damage ??= thrown;
      return false;
    }
  };
  const mend = async (shard: PlacedShard): Promise<void> => {
    const holders = shard.holders.filter((nodeId) => present.has(nodeId));
    const targets = holders.length === 0 ? [] : targetsOf(repair, shard, holders);
    let count = holders.length;
    if (targets.length > 0) {
      const { bytes } = shard;
      if (!(await passing.acquire(bytes, operation.signal))) throw operation.signal.reason;
      try {
        const content = new Uint8Array(bytes);
        if (!(await fetchOne(shard, content))) {
          shardsShort++;
          return;
        }
        const copies = targets.map((nodeId) => copyTo(shard, content, nodeId));
        // All of them are at their end before the content and its room go.
        const settled = await Promise.allSettled(copies);
        for (const copy of settled) {
          if (copy.status === 'rejected') throw copy.reason;
          count += copy.value;
        }
      } finally {
        passing.release(bytes);
      }
    }
    if (count < replicas) shardsShort++;
  };

  try {
    await fetcher.fetchAll(shards, mend);
  } finally {
    fetcher.close();
    copier.close();
  }
  if (damage !== undefined) throw damage;
  const { copies, bytes } = copier;
  return { dataId, copies, bytes, shardsShort, wallMs: env.clock.nowMs() - startMs };
}

/** Which nodes get a copy: first those on which the shard belongs. */
function targetsOf(
  { copying, replicas, place }: Repair,
  shard: PlacedShard,
  holders: readonly string[],
): string[] {
  const count = Math.min(replicas, copying.links.length);
  if (holders.length >= count) return [];
  const belongs = place(shard, count);
  const others = copying.links.map(({ nodeId }) => nodeId).filter((id) => !belongs.includes(id));
  return [...belongs, ...others]
    .filter((nodeId) => !holders.includes(nodeId))
    .slice(0, count - holders.length);
}
