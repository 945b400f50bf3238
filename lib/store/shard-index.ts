import type { ShardKey, ShardRange, StoredData, StoredShard } from './store.js';

/** What a store knows of its shards, by data, version and index. */
export class ShardIndex<Entry extends StoredShard> {
  readonly #data = new Map<string, Map<bigint, Map<number, Entry>>>();
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
    return this.#data.get(dataId)?.get(version)?.get(index);
  }

  /** Returns what stood in its place. */
  set(entry: Entry): Entry | undefined {
    const { dataId, version, index } = entry.key;
    const replaced = this.remove(entry.key);
    const versions = this.#data.get(dataId) ?? new Map<bigint, Map<number, Entry>>();
    const shards = versions.get(version) ?? new Map<number, Entry>();
    this.#data.set(dataId, versions);
    versions.set(version, shards);
    shards.set(index, entry);
    this.#count++;
    this.#bytes += entry.bytes;
    return replaced;
  }

  /** Returns what was removed. */
  remove({ dataId, version, index }: ShardKey): Entry | undefined {
    const versions = this.#data.get(dataId);
    const shards = versions?.get(version);
    const entry = shards?.get(index);
    if (versions === undefined || shards === undefined || entry === undefined) return undefined;
    shards.delete(index);
    if (shards.size === 0) versions.delete(version);
    if (versions.size === 0) this.#data.delete(dataId);
    this.#count--;
    this.#bytes -= entry.bytes;
    return entry;
  }

  /** In the order of versions, then of shards. */
  within({ dataId, version, index }: ShardRange): Entry[] {
    if (version !== undefined && index !== undefined) {
      const entry = this.get({ dataId, version, index });
      return entry === undefined ? [] : [entry];
    }
    return [...(this.#data.get(dataId) ?? [])]
      .filter(([stored]) => version === undefined || stored === version)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([, shards]) =>
        [...shards.values()]
          .filter(({ key }) => index === undefined || key.index === index)
          .sort((a, b) => a.key.index - b.key.index),
      );
  }

  list(dataId: string, version?: bigint): StoredShard[] {
    return this.within({ dataId, version }).map(({ key, meta, bytes }) => ({ key, meta, bytes }));
  }

  contents(): StoredData[] {
    return [...this.#data].flatMap(([dataId, versions]) =>
      [...versions].map(([version, shards]) => ({
        dataId,
        version,
        shards: shards.size,
        bytes: [...shards.values()].reduce((sum, { bytes }) => sum + bytes, 0),
      })),
    );
  }

  dataIds(): string[] {
    return [...this.#data.keys()];
  }
}
