import { fileURLToPath } from 'node:url';
import type { Peer } from './types.js';

/** The part of a peer whose programs are modules for Node beside its `peer.js`, one for each program. */
export function scripts(peerUrl: string): Pick<Peer, 'command' | 'isNode'> {
  return {
    isNode: true,
    command: (program, role) => [
      process.execPath,
      fileURLToPath(new URL(`./${program}.js`, peerUrl)),
      role,
    ],
  };
}
