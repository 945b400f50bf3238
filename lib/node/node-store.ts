import { totalmem } from 'node:os';
import { MemoryStore } from '../store/memory-store.js';
import { openDurableStore, type StoreChoice } from '../store/open-store.js';
import type { ShardStore } from '../store/store.js';
import type { Engine } from './select-network.js';

/** The store of a node, and what of it each client gets. */
export interface NodeStore {
  readonly store: ShardStore;
  forClient(): ShardStore;
}

/** Half of the memory that this machine, or the container around it, has. */
export function storeBytesDefault(): number {
  // 0 or a number beyond the machine's own where nothing constrains the process.
  const constrained = process.constrainedMemory();
  const memoryBytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(memoryBytes / 2);
}

/**
 * @param memoryBytes for shards; see `NodeConfig.storeBytesMax`
 * Fails: PAIPAI_ERR_STORE_FAILED, _STORE_IN_USE, _STORE_FORMAT, _STORE_FULL.
 */
export async function openStore(
  engine: Engine,
  choice: StoreChoice = 'memory',
  memoryBytes: number = storeBytesDefault(),
): Promise<NodeStore> {
  const onSlab = engine.adviseShardMemory;
  if (choice === 'memory') {
    const store = new MemoryStore({ sizeLimitBytes: memoryBytes, onSlab });
    return { store, forClient: () => store.part() };
  }
  const { crc32c } = engine;
  const store = await openDurableStore(choice, { memoryLimitBytes: memoryBytes, onSlab, crc32c });
  return { store, forClient: () => store };
}
