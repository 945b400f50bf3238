import { packageObstacle } from '../../support/packages.js';
import { scripts } from '../../support/script-peer.js';
import { tableObstacle } from '../../support/table.js';
import type { Peer } from '../../support/types.js';

/** Threads of one process. */
export const piscina: Peer = {
  name: 'piscina',
  about: 'worker threads by the package piscina',
  programs: ['process'],
  async prepare() {
    return packageObstacle('piscina', 5) ?? tableObstacle();
  },
  ...scripts(import.meta.url),
};
