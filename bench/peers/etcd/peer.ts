import { programObstacle } from '../../support/programs.js';
import { scripts } from '../../support/script-peer.js';
import type { Peer } from '../../support/types.js';

/** The table of a net in an etcd of three members, through this package. */
export const etcd: Peer = {
  name: 'etcd',
  about: 'three members of an etcd, as a backend of this package',
  programs: ['coordination'],
  async prepare() {
    return programObstacle('etcd', 'etcd-server');
  },
  ...scripts(import.meta.url),
};
