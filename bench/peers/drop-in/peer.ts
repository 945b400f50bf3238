import { addonObstacle } from '../../support/addon.js';
import type { Peer, Role } from '../../support/types.js';
import { nodeNet } from '../node-net/peer.js';

const registerUrl = new URL('../../../drop-in/register.js', import.meta.url).href;

/** Programs of other libraries, which are moved over as they are. */
const moved: readonly string[] = ['http', 'redis', 'postgres'];

/** The programs of `net`, with the sockets of this package in the place of Node's. */
export const dropIn: Peer = {
  ...nodeNet,
  name: 'drop-in',
  about: 'the same over paipainet/net; http, redis and postgres through paipainet/register',
  prepare: async (program) => addonObstacle() ?? nodeNet.prepare(program),
  command(program: string, role: Role) {
    const [node, ...rest] = nodeNet.command(program, role);
    if (moved.includes(program)) return [node, '--import', registerUrl, ...rest];
    return [node, ...rest, '--sockets', 'drop-in'];
  },
};
