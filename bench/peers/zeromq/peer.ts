import { libraryPeer } from '../../support/library-peer.js';
import type { Peer } from '../../support/types.js';

/** ZeroMQ. Not in package-lock.json: where none of its prebuilt programs fits, installing it compiles and downloads. */
export const zeromq: Peer = libraryPeer({
  name: 'zeromq',
  about: 'sockets of zeromq.js 6',
  package: 'zeromq',
  major: 6,
  url: import.meta.url,
});
