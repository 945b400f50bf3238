import { scripts } from '../../support/script-peer.js';
import type { Peer } from '../../support/types.js';

/** This package, through its public words. */
export const paipainet: Peer = {
  name: 'paipainet',
  about: 'this package',
  programs: ['exchange', 'stream', 'bulk', 'fairness', 'transfer'],
  async prepare() {
    return null;
  },
  ...scripts(import.meta.url),
};
