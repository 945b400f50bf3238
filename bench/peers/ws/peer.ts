import { packageObstacle } from '../../support/packages.js';
import { scripts } from '../../support/script-peer.js';
import type { Peer } from '../../support/types.js';

/** WebSockets. */
export const ws: Peer = {
  name: 'ws',
  about: 'WebSockets by the package ws',
  programs: ['exchange', 'stream', 'bulk'],
  async prepare() {
    return packageObstacle('ws', '8');
  },
  ...scripts(import.meta.url),
};
