import { comparePositions, type DataPosition } from './data-position.js';
import type { DataRange, ShardKey, ShardRange, StoredData, StoredShard } from './store.js';

/** The shards of one version that are there, by their index. */
interface Version<Entry> extends DataPosition {
  readonly shards: Map<number, Entry>;
  /** Content of all of them. */
  bytes: number;
}

interface Versions<Entry> {
  readonly byNumber: Map<bigint, Version<Entry>>;
  /** In their order; undefined since one has come or gone. */
  sorted: readonly Version<Entry>[] | undefined;
}

/** What a store knows of its shards, by data, version and index. */
export class ShardIndex<Entry extends StoredShard> {
  readonly #data = new Map<string, Versions<Entry>>();
  /** The versions of all data in their order; undefined since one has come or gone. */
  #sorted: readonly Version<Entry>[] | undefined;
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  /** Content of all shards. */
  get bytes(): number {
    return this.#bytes;
  }

  get({ dataId, version, index }: ShardKey): Entry | undefined {
    return this.#data.get(dataId)?.byNumber.get(version)?.shards.get(index);
  }

  /** Returns what stood in its place. */
  set(entry: Entry): Entry | undefined {
    const { dataId, version: number, index } = entry.key;
    const version = this.#version(dataId, number);
    const replaced = version.shards.get(index);
    version.shards.set(index, entry);
    this.#grow(version, replaced === undefined ? 1 : 0, entry.bytes - (replaced?.bytes ?? 0));
    return replaced;
  }

  /** Returns what was removed. */
  remove({ dataId, version: number, index }: ShardKey): Entry | undefined {
    const versions = this.#data.get(dataId);
    const version = versions?.byNumber.get(number);
    const entry = version?.shards.get(index);
    if (versions === undefined || version === undefined || entry === undefined) return undefined;
    version.shards.delete(index);
    this.#grow(version, -1, -entry.bytes);
    if (version.shards.size === 0) {
      versions.byNumber.delete(number);
      if (versions.byNumber.size === 0) this.#data.delete(dataId);
      this.#disturb(versions);
    }
    return entry;
  }

  /** In the order of versions, then of shards. */
  within({ dataId, version, index }: ShardRange): Entry[] {
    if (version !== undefined && index !== undefined) {
      const entry = this.get({ dataId, version, index });
      return entry === undefined ? [] : [entry];
    }
    return this.#versionsOf(dataId)
      .filter((stored) => version === undefined || stored.version === version)
      .flatMap(({ shards }) =>
        [...shards.values()]
          .filter(({ key }) => index === undefined || key.index === index)
          .sort((a, b) => a.key.index - b.key.index),
      );
  }

  list(dataId: string, version?: bigint): StoredShard[] {
    return this.within({ dataId, version }).map(({ key, meta, bytes }) => ({ key, meta, bytes }));
  }

  contents({ dataId, behind, countMax = Infinity }: DataRange = {}): StoredData[] {
    const versions = dataId === undefined ? this.#allVersions() : this.#versionsOf(dataId);
    const first = behind === undefined ? 0 : firstBehind(versions, behind);
    return versions
      .slice(first, first + countMax)
      .map(({ dataId: id, version, shards, bytes }) => ({
        dataId: id,
        version,
        shards: shards.size,
        bytes,
      }));
  }

  dataIds(): string[] {
    return [...this.#data.keys()];
  }

  #version(dataId: string, number: bigint): Version<Entry> {
    let versions = this.#data.get(dataId);
    if (versions === undefined) {
      versions = { byNumber: new Map(), sorted: undefined };
      this.#data.set(dataId, versions);
    }
    let version = versions.byNumber.get(number);
    if (version === undefined) {
      version = { dataId, version: number, shards: new Map(), bytes: 0 };
      versions.byNumber.set(number, version);
      this.#disturb(versions);
    }
    return version;
  }

  #grow(version: Version<Entry>, count: number, bytes: number): void {
    version.bytes += bytes;
    this.#count += count;
    this.#bytes += bytes;
  }

  #disturb(versions: Versions<Entry>): void {
    versions.sorted = undefined;
    this.#sorted = undefined;
  }

  #versionsOf(dataId: string): readonly Version<Entry>[] {
    const versions = this.#data.get(dataId);
    if (versions === undefined) return [];
    versions.sorted ??= [...versions.byNumber.values()].sort(comparePositions);
    return versions.sorted;
  }

  #allVersions(): readonly Version<Entry>[] {
    this.#sorted ??= [...this.#data.keys()].sort().flatMap((dataId) => this.#versionsOf(dataId));
    return this.#sorted;
  }
}

/** Where in `sorted` stands what comes behind the position. */
function firstBehind(sorted: readonly DataPosition[], position: DataPosition): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const at = sorted[middle];
    if (at !== undefined && comparePositions(at, position) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
