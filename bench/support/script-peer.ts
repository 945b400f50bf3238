import { fileURLToPath } from 'node:url';
import type { Peer } from './types.js';

/** The part of a peer whose programs are modules for Node beside its `peer.js`, one for each case. */
export function scripts(peerUrl: string): Pick<Peer, 'command'> {
  return {
    command: (caseName, role) => [
      process.execPath,
      fileURLToPath(new URL(`./${caseName}.js`, peerUrl)),
      role,
    ],
  };
}
