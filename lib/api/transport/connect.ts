import { connectPeer } from '../../session/connect.js';
import { deadlinesOf } from '../../session/deadlines.js';
import type { SessionOptions } from '../../session/types.js';
import type { NetworkEnv } from '../../transport/frame-channel.js';
import { checkConnectOptions } from './options.js';
import { TransportPeer } from './peer.js';
import { Redial } from './redial.js';
import { serviceOf } from './service.js';
import type { ConnectOptions } from './types.js';
import { WaitingRequests } from './waiting-requests.js';

/** `connect` of the entry, in a given environment. */
export async function connectOver(
  env: NetworkEnv,
  address: string,
  options: ConnectOptions<unknown>,
): Promise<TransportPeer> {
  const settings = checkConnectOptions(env, options);
  const { codec, backoff, failFast, deadlineMs } = settings;
  const peer = new TransportPeer(codec, true);
  const sessionOptions: SessionOptions = {
    ...settings.session,
    service: {
      ...serviceOf(settings.handlers, codec, () => peer),
      onClose: (session, error) => peer.sessionEnded(session, error),
    },
  };
  const dial = async (signal: AbortSignal | undefined): Promise<void> => {
    const attempt = { ...sessionOptions, ...(signal !== undefined && { signal }) };
    await connectPeer(env, address, attempt, (session) => peer.attach(session));
  };
  if (backoff !== null) {
    const { queuedRequestsMax, queuedBytesMax } = settings;
    const waiting = new WaitingRequests(deadlinesOf(env), queuedRequestsMax, queuedBytesMax);
    const redial = new Redial(env, backoff, dial, (error) => peer.giveUp(error));
    peer.reconnectBy({ redial, waiting, failFast, deadlineMs });
  }
  await dial(settings.signal);
  // Events start behind all microtasks, so that whoever awaits this call hears what came together with the end of the handshake.
  queueMicrotask(() => process.nextTick(() => peer.handOver()));
  return peer;
}
