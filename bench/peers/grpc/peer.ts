import { packageObstacle } from '../../support/packages.js';
import { scripts } from '../../support/script-peer.js';
import type { Peer } from '../../support/types.js';

/** gRPC in JavaScript. */
export const grpc: Peer = {
  name: 'grpc',
  about: 'streams of @grpc/grpc-js',
  programs: ['exchange', 'stream', 'bulk'],
  async prepare() {
    return packageObstacle('@grpc/grpc-js', '1');
  },
  ...scripts(import.meta.url),
};
