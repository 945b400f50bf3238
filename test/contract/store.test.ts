import { join } from 'node:path';
import type { DurableStore } from '../../dist/store/durable-store.js';
import { MemoryStore } from '../../dist/store/memory-store.js';
import { openDurableStore } from '../../dist/store/open-store.js';
import { makeFolder } from '../support/folders.js';
import { type StoreKit, storeContract } from './store.js';

function durable(kind: 'lmdb' | 'files'): StoreKit {
  let reopen: () => Promise<DurableStore>;
  return {
    make(sizeLimitBytes) {
      const path = join(makeFolder(), 'deeper', 'store');
      reopen = () =>
        openDurableStore(
          kind === 'lmdb' ? { lmdb: path, sizeLimitBytes } : { files: path, sizeLimitBytes },
          {},
        );
      return reopen();
    },
    reopen: () => reopen(),
  };
}

storeContract('memory', { make: async (sizeLimitBytes) => new MemoryStore({ sizeLimitBytes }) });
storeContract('lmdb', durable('lmdb'));
storeContract('files', durable('files'));
