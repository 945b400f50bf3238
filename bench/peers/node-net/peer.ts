import { checksumName } from '../../support/checksum.js';
import { scripts } from '../../support/script-peer.js';
import type { Peer } from '../../support/types.js';

const { command, isNode } = scripts(import.meta.url);

/** What a careful programmer writes on Node's own sockets. */
export const nodeNet: Peer = {
  name: 'net',
  about: 'careful framing on node:net',
  programs: ['exchange', 'stream', 'bulk', 'transfer'],
  async prepare(program) {
    if (program !== 'transfer' || checksumName === 'zlib') return null;
    return 'this Node has no zlib.crc32 (20.15 and 22.2 have it)';
  },
  isNode,
  // Bulk is a transfer of which each side keeps only the last messages.
  command: (program, role) => command(program === 'bulk' ? 'transfer' : program, role),
};
