import { libraryPeer } from '../../support/library-peer.js';
import type { Peer } from '../../support/types.js';

/** WebSockets. */
export const ws: Peer = libraryPeer({
  name: 'ws',
  about: 'WebSockets by the package ws',
  package: 'ws',
  major: 8,
  url: import.meta.url,
});
