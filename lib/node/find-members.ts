import type { PaipaiError } from '../base/errors.js';
import { jointFailure, seedFailure } from '../cluster/membership/join-rounds.js';
import {
  decodeMemberList,
  memberListMethod,
  type NetMember,
} from '../cluster/membership/member-list.js';
import { connectPeer } from '../session/connect.js';
import type { SessionOptions } from '../session/types.js';
import type { NetworkEnv } from '../transport/frame-channel.js';

const connectMsMax = 3_000;
const answerMsMax = 5_000;

type ClientOptions = Pick<SessionOptions, 'nodeId' | 'netName' | 'secret'>;

/**
 * Who is in the net, by id, as the first of `seeds` says that answers; all are asked at once, until `signal` fires. The dead that are
 * remembered are included.
 * When none answers it fails with the code of one, a refusal before others, and with all of them in its cause: PAIPAI_ERR_NET_NAME, _SECRET,
 * _METHOD_UNKNOWN and what else a session fails with, PAIPAI_ERR_INVALID_STATE for a node that is no member, PAIPAI_ERR_NODE_START when
 * nobody is there.
 */
export async function findMembers(
  env: NetworkEnv,
  seeds: readonly string[],
  options: ClientOptions,
  signal?: AbortSignal,
): Promise<NetMember[]> {
  const rest = new AbortController();
  const stop = (): void => rest.abort();
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted === true) stop();
  const failures: PaipaiError[] = [];
  const answers = seeds.map(async (seed) => {
    try {
      return await listFrom(env, seed, { ...options, signal: rest.signal });
    } catch (thrown) {
      failures.push(seedFailure(seed, thrown));
      throw thrown;
    }
  });
  try {
    const members = await Promise.any(answers);
    // Where placement depends on the order of the nodes, clients agree whomever they asked.
    return members.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  } catch (thrown) {
    throw jointFailure(failures) ?? thrown;
  } finally {
    signal?.removeEventListener('abort', stop);
    rest.abort();
  }
}

async function listFrom(
  env: NetworkEnv,
  seed: string,
  options: ClientOptions & { readonly signal: AbortSignal },
): Promise<NetMember[]> {
  const peer = await connectPeer(env, seed, {
    ...options,
    path: 'tcp',
    connectTimeoutMs: connectMsMax,
    handshakeTimeoutMs: connectMsMax,
  });
  try {
    const { signal } = options;
    const answer = await peer.request(memberListMethod, undefined, {
      deadlineMs: answerMsMax,
      signal,
    });
    return decodeMemberList(answer);
  } finally {
    void peer.close(0); // It never fails.
  }
}
