import { checksumName } from '../../support/checksum.js';
import { packageObstacle } from '../../support/packages.js';
import { programObstacle } from '../../support/programs.js';
import { scripts } from '../../support/script-peer.js';
import type { Peer } from '../../support/types.js';

const { command, isNode } = scripts(import.meta.url);

/** What cases of other libraries need, by program. */
const needs: Readonly<Record<string, () => string | null>> = {
  http: () => programObstacle('wrk', 'wrk'),
  redis: () => packageObstacle('ioredis', 6) ?? programObstacle('redis-server', 'redis-server'),
  postgres: () => packageObstacle('pg', 8) ?? programObstacle('postgres', 'postgresql'),
};

/** What a careful programmer writes on Node's own sockets. */
export const nodeNet: Peer = {
  name: 'net',
  about: 'careful framing on node:net; node:http, ioredis and pg as they are',
  programs: ['exchange', 'stream', 'bulk', 'transfer', ...Object.keys(needs)],
  async prepare(program) {
    if (program === 'transfer' && checksumName !== 'zlib')
      return 'this Node has no zlib.crc32 (20.15 and 22.2 have it)';
    return needs[program]?.() ?? null;
  },
  isNode,
  // Bulk is a transfer of which each side keeps only the last messages.
  command: (program, role) => command(program === 'bulk' ? 'transfer' : program, role),
};
