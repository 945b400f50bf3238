import type { Env } from '../../base/env.js';
import { isPaipaiError, type PaipaiError } from '../../base/errors.js';
import { ByteWindow } from './byte-window.js';
import { type Fetch, ShardFetcher } from './fetch-shards.js';
import { unreadShards } from './lost-shards.js';
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
  /** Which of these nodes get a copy of a shard that lies on `holders`, 1 or more of them. */
  readonly targetsOf: (shard: PlacedShard, holders: readonly string[]) => readonly string[];
  /** Hears of each copy made. */
  readonly onStored: (shard: PlacedShard, nodeId: string) => void;
}

/** Content of shards that are between two nodes. */
const passingBytesMax = 64 * 1024 * 1024;
const passingShardsMax = 64;

/**
 * Copies shards from nodes that are there to others of these. A node that goes away, or is full, gets no more copies.
 * Fails with PAIPAI_ERR_STALE_MAP, when what is under way has ended, and the operation has not failed by that. When all else is copied: as `fetchShards` does for shards that came to harm on all nodes, or with PAIPAI_ERR_STORE_FULL; else as
 * `ShardCopier.copy`.
 */
export async function repairShards(
  repair: Repair,
  shards: readonly PlacedShard[],
): Promise<RepairReport> {
  const { env, fetch, copying, replicas, targetsOf, onStored } = repair;
  const { operation, dataId } = fetch;
  const startMs = env.clock.nowMs();
  const copier = new ShardCopier(copying);
  const fetcher = new ShardFetcher(fetch);
  const passing = new ByteWindow(passingBytesMax, passingShardsMax);
  const present = new Set(copying.links.map(({ nodeId }) => nodeId));
  const full = new Set<string>();
  let fullness: PaipaiError | undefined;
  let overtaking: PaipaiError | undefined;
  let shardsShort = 0;
  const damages = new Map<number, PaipaiError>();

  const copyTo = async (
    shard: PlacedShard,
    content: Uint8Array,
    nodeId: string,
  ): Promise<number> => {
    try {
      await copier.copy(shard, content, nodeId);
    } catch (thrown) {
      if (operation.hasFailed || !isPaipaiError(thrown)) throw thrown;
      if (thrown.code === 'PAIPAI_ERR_NODE_LOST') return 0;
      if (thrown.code === 'PAIPAI_ERR_STALE_MAP') {
        overtaking ??= thrown;
        return 0;
      }
      if (thrown.code !== 'PAIPAI_ERR_STORE_FULL') throw thrown;
      full.add(nodeId);
      fullness ??= thrown;
      return 0;
    }
    onStored(shard, nodeId);
    return 1;
  };
  const mend = async (shard: PlacedShard): Promise<void> => {
    const holders = shard.holders.filter((nodeId) => present.has(nodeId));
    // The other nodes would refuse it too.
    const isOver = holders.length === 0 || overtaking !== undefined;
    const wanted = isOver ? [] : targetsOf(shard, holders);
    const targets = wanted.filter((nodeId) => !full.has(nodeId));
    let count = holders.length;
    if (targets.length > 0) {
      const { bytes } = shard;
      if (!(await passing.acquire(bytes, operation.signal))) throw operation.signal.reason;
      try {
        const content = new Uint8Array(bytes);
        const damage = await fetcher.tryFetch(shard, content);
        if (damage !== undefined) {
          // The others are mended all the same.
          if (damage.code !== 'PAIPAI_ERR_NODE_LOST') damages.set(shard.index, damage);
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
  if (overtaking !== undefined) throw overtaking;
  if (damages.size > 0) throw unreadShards(dataId, damages);
  if (fullness !== undefined) throw fullness;
  const { copies, bytes } = copier;
  return { dataId, copies, bytes, shardsShort, wallMs: env.clock.nowMs() - startMs };
}
