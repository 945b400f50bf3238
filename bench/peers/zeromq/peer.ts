import { packageObstacle } from '../../support/packages.js';
import { scripts } from '../../support/script-peer.js';
import type { Peer } from '../../support/types.js';

/** ZeroMQ. Not in package-lock.json: where none of its prebuilt programs fits, installing it compiles and downloads. */
export const zeromq: Peer = {
  name: 'zeromq',
  about: 'sockets of zeromq.js 6',
  programs: ['exchange', 'stream', 'bulk'],
  async prepare() {
    return packageObstacle('zeromq', '6');
  },
  ...scripts(import.meta.url),
};
