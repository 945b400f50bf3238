import { libraryPeer } from '../../support/library-peer.js';
import type { Peer } from '../../support/types.js';

/** WebSockets, with a hand on the socket below. */
export const wsCorked: Peer = libraryPeer({
  name: 'ws-corked',
  about: 'WebSockets by the package ws, its socket corked for each turn',
  package: 'ws',
  major: 8,
  url: import.meta.url,
});
