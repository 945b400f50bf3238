import { scripts } from '../../support/script-peer.js';
import { tableObstacle } from '../../support/table.js';
import type { Peer } from '../../support/types.js';

/** What Node brings along for other processes. */
export const childProcess: Peer = {
  name: 'child-process',
  about: 'messages to forked processes, by advanced serialization',
  programs: ['process'],
  async prepare() {
    return tableObstacle();
  },
  ...scripts(import.meta.url),
};
