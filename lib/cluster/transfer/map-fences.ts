import { PaipaiError } from '../../base/errors.js';
import type { Journal } from '../../coordination/local/journal.js';
import { readU64, writeU64 } from '../../wire/little-endian.js';

/** One version of data. */
export interface FencedData {
  readonly dataId: string;
  readonly version: bigint;
}

/** `seen`: the latest shard map under which something was changed here, or was to be. `dropped`: under which something was dropped. */
interface Marks {
  seen: number;
  dropped: number;
}

interface Fence extends Marks {
  /** What of it is kept. */
  readonly kept: Marks;
}

/** Each takes some 200 bytes here, and a file. */
const fencesMax = 1_000_000;
/** What stands beside the version in the journal. */
const droppedBytes = 8;

/**
 * What a node has heard of shard maps, so that nothing is done there under an older one: who changes shards does so under the version of a map
 * that is theirs alone (`ShardMaps`), and who uses them under the one that they know. Data without a map have no version, 0, and no fence.
 */
export class MapFences {
  readonly #journal: Journal;
  readonly #fences = new Map<string, Fence>();
  /** Settles with the last write there is; never rejects. */
  #writes: Promise<unknown> = Promise.resolve();

  private constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Takes the journal over. Fails as that does. */
  static async open(journal: Journal): Promise<MapFences> {
    const fences = new MapFences(journal);
    for (const { key, version, value } of (await journal.read()).entries) {
      const dropped = value.byteLength === droppedBytes ? Number(readU64(value, 0)) : version;
      fences.#fences.set(key, { seen: version, dropped, kept: { seen: version, dropped } });
    }
    return fences;
  }

  /**
   * Has everybody refused from now on who has an older map. Settles when that holds beyond this process; undefined when it does at once. Somebody
   * with a newer one may have come by then: `checkChange` in the turn in which something is done.
   * Fails: PAIPAI_ERR_STALE_MAP; _STORE_FULL, _STORE_FAILED.
   */
  admitChange(data: FencedData, mapVersion: number): Promise<void> | undefined {
    this.checkChange(data, mapVersion);
    return this.#raise(data, mapVersion, false);
  }

  /** `admitChange` for a drop: who has an older map does not use shards here any more either. */
  admitDrop(data: FencedData, mapVersion: number): Promise<void> | undefined {
    this.checkChange(data, mapVersion);
    return this.#raise(data, mapVersion, true);
  }

  /** @throws PaipaiError PAIPAI_ERR_STALE_MAP, with `mapVersion`, when a change under a newer map was heard of. */
  checkChange(data: FencedData, mapVersion: number): void {
    const seen = this.#fences.get(keyOf(data))?.seen ?? 0;
    if (mapVersion < seen) throw stale(data, mapVersion, seen);
  }

  /** @throws PaipaiError PAIPAI_ERR_STALE_MAP, with `mapVersion`, when something was dropped here under a newer map. */
  checkUse(data: FencedData, mapVersion: number): void {
    const dropped = this.#fences.get(keyOf(data))?.dropped ?? 0;
    if (mapVersion < dropped) throw stale(data, mapVersion, dropped);
  }

  async close(): Promise<void> {
    await this.#writes;
    await this.#journal.close();
  }

  #raise(data: FencedData, mapVersion: number, isDrop: boolean): Promise<void> | undefined {
    if (mapVersion === 0) return undefined;
    const key = keyOf(data);
    let fence = this.#fences.get(key);
    if (fence === undefined) {
      if (this.#fences.size >= fencesMax) throw full();
      fence = { seen: 0, dropped: 0, kept: { seen: 0, dropped: 0 } };
      this.#fences.set(key, fence);
    }
    fence.seen = Math.max(fence.seen, mapVersion);
    if (isDrop) fence.dropped = Math.max(fence.dropped, mapVersion);
    const wanted = { seen: mapVersion, dropped: isDrop ? mapVersion : 0 };
    return holds(fence.kept, wanted) ? undefined : this.#keep(key, fence, wanted);
  }

  /** Many may wait for the same version: the first of them writes. */
  #keep(key: string, fence: Fence, wanted: Marks): Promise<void> {
    const { kept } = fence;
    const writing = this.#writes.then(async () => {
      if (holds(kept, wanted)) return;
      const { seen, dropped } = fence;
      const value = new Uint8Array(droppedBytes);
      writeU64(value, 0, BigInt(dropped));
      await this.#journal.write([{ key, version: seen, value }]);
      kept.seen = seen;
      kept.dropped = dropped;
    });
    this.#writes = writing.catch(() => {}); // Whoever asked hears of it.
    return writing;
  }
}

function holds(kept: Marks, wanted: Marks): boolean {
  return kept.seen >= wanted.seen && kept.dropped >= wanted.dropped;
}

function keyOf({ dataId, version }: FencedData): string {
  return `${version}/${dataId}`;
}

function stale({ dataId }: FencedData, mapVersion: number, newer: number): PaipaiError {
  const known = mapVersion === 0 ? 'no shard map' : `version ${mapVersion} of the shard map`;
  return new PaipaiError(
    'PAIPAI_ERR_STALE_MAP',
    `data ${dataId}: the caller has ${known}, and this node has heard of version ${newer}${mapVersion === 0 ? ': what clients of a coordinator have changed is changed with a coordinator alone' : ''}`,
    { dataId, mapVersion: newer },
  );
}

function full(): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_STORE_FULL',
    `this node remembers the shard maps of ${fencesMax} data already`,
  );
}
