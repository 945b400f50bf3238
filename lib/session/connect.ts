import { checkSignal } from '../base/check.js';
import { toError } from '../base/errors.js';
import { parseAddress } from '../transport/address.js';
import type { ChannelOptions, NetworkEnv } from '../transport/frame-channel.js';
import { deadlinesOf } from './deadlines.js';
import { aborted } from './failures.js';
import { Handshake } from './handshake.js';
import type { SessionSetting } from './link.js';
import { SessionPeer } from './peer.js';
import { checkSettings } from './settings.js';
import type { Peer, SessionOptions } from './types.js';

/**
 * Connects to a listening peer and settles when both sides have agreed; `onPeer` gets it at once, before its first frame.
 * Fails with the system's error when nobody listens, and with PAIPAI_ERR_DEADLINE (`connectTimeoutMs`), _ABORTED,
 * _HANDSHAKE_TIMEOUT, _NET_NAME, _SECRET, _VERSION_MISMATCH, _FRAME_MAGIC (something else answers there), _PEER_CLOSED.
 * What `onPeer` throws destroys the peer and is what this fails with.
 */
export async function connectPeer(
  env: NetworkEnv,
  address: string,
  options: SessionOptions,
  onPeer?: (peer: Peer) => void,
): Promise<Peer> {
  const settings = checkSettings(options);
  const target = parseAddress(address);
  const signal = checkSignal('signal', options.signal);
  const channel = await env.network.connect(target, channelOptionsOf(options));
  const deadlines = deadlinesOf(env);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      // Only a signal that was set can fire.
      handshake.cancel(aborted(`connect to ${address}`, signal as AbortSignal));
    };
    const handshake = new Handshake(channel, settings, deadlines, env.random, 'connect', {
      onReady: (remoteNodeId) => {
        signal?.removeEventListener('abort', onAbort);
        const setting: SessionSetting = { settings, deadlines, role: 'connect', onGone() {} };
        const peer = new SessionPeer(channel, setting, remoteNodeId);
        try {
          onPeer?.(peer);
          resolve(peer);
        } catch (thrown) {
          // The handshake is done: what the caller threw is no refusal of the other side.
          const error = toError(thrown);
          peer.destroy(error);
          reject(error);
        }
        return peer;
      },
      onFailed: (error) => {
        signal?.removeEventListener('abort', onAbort);
        reject(error);
      },
      onGone: () => {},
    });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort);
  });
}

/** Those of the session's options that are the channel's. */
export function channelOptionsOf(options: ChannelOptions): ChannelOptions {
  const { frameBytesMax, connectTimeoutMs, signal, spinMicroseconds, path, noDelay, keepAliveMs } =
    options;
  return {
    ...(frameBytesMax !== undefined && { frameBytesMax }),
    ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
    ...(signal !== undefined && { signal }),
    ...(spinMicroseconds !== undefined && { spinMicroseconds }),
    ...(path !== undefined && { path }),
    ...(noDelay !== undefined && { noDelay }),
    ...(keepAliveMs !== undefined && { keepAliveMs }),
  };
}
