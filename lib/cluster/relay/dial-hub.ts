import { PaipaiError } from '../../base/errors.js';
import { connectPeer } from '../../session/connect.js';
import type { Peer, SessionOptions } from '../../session/types.js';
import type { NetworkEnv } from '../../transport/frame-channel.js';
import { jointFailure, seedFailure } from '../membership/join-rounds.js';

const connectMsMax = 3_000;

export interface Hub {
  readonly peer: Peer;
  readonly address: string;
}

/**
 * The first of `addresses` that answers. When none does it fails with the code of one, a refusal before others, and all of them in its
 * cause: PAIPAI_ERR_NODE_START when nobody is there, and what else a session fails with.
 */
export async function dialHub(
  env: NetworkEnv,
  addresses: readonly string[],
  options: SessionOptions,
): Promise<Hub> {
  const failures: PaipaiError[] = [];
  for (const address of addresses) {
    if (options.signal?.aborted === true) break;
    try {
      const peer = await connectPeer(env, address, {
        ...options,
        connectTimeoutMs: connectMsMax,
        handshakeTimeoutMs: connectMsMax,
      });
      return { peer, address };
    } catch (thrown) {
      failures.push(seedFailure(address, thrown));
    }
  }
  throw jointFailure(failures) ?? new PaipaiError('PAIPAI_ERR_NODE_START', 'there is no hub');
}
