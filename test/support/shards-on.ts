import { decodeNodeInfo, infoMethod } from '../../dist/node/node-info.js';
import { selectEngine } from '../../dist/node/select-network.js';
import { connectPeer } from '../../dist/session/connect.js';
import { testEnv } from './test-env.js';

/** How many shards the node at this address holds, of all of its clients. */
export async function shardsOn({ address }: { readonly address: string }): Promise<number> {
  const env = testEnv(selectEngine('auto').network);
  const peer = await connectPeer(env, address, { nodeId: 'looks' });
  try {
    return decodeNodeInfo(await peer.request(infoMethod)).shards;
  } finally {
    await peer.close(0);
  }
}
