import { scripts } from '../../support/script-peer.js';
import { tableObstacle } from '../../support/table.js';
import type { Peer } from '../../support/types.js';

/** What there is to gain by others. */
export const oneThread: Peer = {
  name: 'one-thread',
  about: 'the same work with nobody to help',
  programs: ['process'],
  async prepare() {
    return tableObstacle();
  },
  ...scripts(import.meta.url),
};
