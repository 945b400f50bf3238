import type { ListedShard } from '../cluster/transfer/messages.js';
import { comparePositions } from '../store/data-position.js';
import type { StoredData } from '../store/store.js';
import type { HeldData, HeldShard } from './types.js';

/** What was listed on a node. */
export type NodeList<T> = readonly [nodeId: string, listed: readonly T[]];

/** What the nodes hold, by data and version. */
export function heldData(lists: readonly NodeList<StoredData>[]): HeldData[] {
  const found = lists.flatMap(([nodeId, listed]) =>
    listed.map((stored) => ({ ...stored, nodeId })),
  );
  const held: { dataId: string; version: bigint; perNode: HeldData['perNode'][number][] }[] = [];
  for (const { dataId, version, nodeId, shards, bytes } of found.sort(comparePositions)) {
    const last = held.at(-1);
    const node = { nodeId, shards, bytes };
    if (last?.dataId === dataId && last.version === version) last.perNode.push(node);
    else held.push({ dataId, version, perNode: [node] });
  }
  return held;
}

/** The shards of one version by index; different content under one index stands side by side. */
export function heldShards(lists: readonly NodeList<ListedShard>[]): HeldShard[] {
  const held = new Map<string, HeldShard & { readonly nodeIds: string[] }>();
  for (const [nodeId, listed] of lists) {
    for (const { index, offset, bytes, crc32c } of listed) {
      const key = `${index} ${offset} ${bytes} ${crc32c}`;
      const known = held.get(key);
      if (known === undefined) held.set(key, { index, offset, bytes, crc32c, nodeIds: [nodeId] });
      else known.nodeIds.push(nodeId);
    }
  }
  return [...held.values()].sort((a, b) => a.index - b.index);
}
