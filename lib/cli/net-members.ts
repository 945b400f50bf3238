import type { NetMember } from '../cluster/membership/member-list.js';
import { findMembers } from '../node/find-members.js';
import { createRealEnv } from '../node/real-env.js';
import { selectEngine } from '../node/select-network.js';
import { netNameDefault } from '../session/settings.js';
import type { ClientOptions } from './client.js';

/** Everybody whom the first of `join` that answers knows, also who is dead or has left and is remembered. Fails as `findMembers` does. */
export function netMembers(options: ClientOptions, signal: AbortSignal): Promise<NetMember[]> {
  const { name: netName = netNameDefault, secret, join } = options;
  const env = { ...createRealEnv(), network: selectEngine('auto').network };
  const nodeId = `client-${Buffer.from(env.random.bytes(8)).toString('hex')}`;
  const session = { nodeId, netName, ...(secret === undefined ? {} : { secret }) };
  return findMembers(env, join, session, signal);
}
