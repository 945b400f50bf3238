import { libraryPeer } from '../../support/library-peer.js';
import type { Peer } from '../../support/types.js';

/** gRPC in JavaScript. */
export const grpc: Peer = libraryPeer({
  name: 'grpc',
  about: 'streams of @grpc/grpc-js',
  package: '@grpc/grpc-js',
  major: 1,
  url: import.meta.url,
});
