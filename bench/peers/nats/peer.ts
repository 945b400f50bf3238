import { libraryPeer } from '../../support/library-peer.js';
import type { Peer } from '../../support/types.js';
import { serverObstacle } from './server.js';

const library = libraryPeer({
  name: 'nats',
  about: 'nats.js 2 over nats-server',
  package: 'nats',
  major: 2,
  url: import.meta.url,
});

/** NATS, a broker between both sides. Not in package-lock.json: without its server the package is of no use. */
export const nats: Peer = {
  ...library,
  prepare: async (program) => (await library.prepare(program)) ?? serverObstacle(),
};
