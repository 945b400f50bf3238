import { scripts } from '../../support/script-peer.js';
import type { Peer } from '../../support/types.js';

/** What a careful programmer writes on Node's own sockets. */
export const nodeNet: Peer = {
  name: 'net',
  about: 'careful framing on node:net',
  programs: ['exchange', 'stream', 'transfer'],
  async prepare(program) {
    if (program !== 'transfer') return null;
    const { crc32 } = await import('node:zlib');
    return typeof crc32 === 'function'
      ? null
      : 'this Node has no zlib.crc32 (20.15 and 22.2 have it)';
  },
  ...scripts(import.meta.url),
};
