import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { createRealEnv } from '../node/real-env.js';
import { selectEngine } from '../node/select-network.js';
import type { NetworkEnv } from '../transport/frame-channel.js';
import { connectOver } from './transport/connect.js';
import { listenOver } from './transport/listen.js';
import { checkEngine } from './transport/options.js';
import type {
  ConnectOptions,
  Listener,
  ListenOptions,
  Peer,
  TransportOptions,
} from './transport/types.js';

export type { PaipaiCode } from '../base/codes.js';
export type {
  Answer,
  BroadcastResult,
  CodecName,
  ConnectOptions,
  DeferredAnswer,
  FastHandlers,
  FastPeer,
  Handlers,
  HeartbeatOptions,
  Lane,
  Lease,
  Listener,
  ListenerEvents,
  ListenOptions,
  MessageBatch,
  MessageContext,
  OnAnswer,
  OnSent,
  Peer,
  PeerEvents,
  PeerState,
  PeerStats,
  PeerStream,
  ReconnectOptions,
  RequestBatch,
  RequestContext,
  RequestOptions,
  SendOptions,
  StreamOptions,
  TransportOptions,
} from './transport/types.js';
export { isPaipaiError, PaipaiError };

/**
 * Listens for peers at `tcp://host:port` (port 0: any) or `unix:///path`. Options and defaults: docs/TRANSPORT.md.
 * Fails: PAIPAI_ERR_INVALID_ADDRESS, _INSECURE_ADDRESS (beyond this machine without a secret), _INVALID_ARGUMENT, _ENGINE_UNAVAILABLE, and
 * with the system's error (EADDRINUSE …).
 */
export function listen(
  address: string,
  options: ListenOptions<unknown> & { codec: 'msgpack' },
): Promise<Listener<unknown>>;
export function listen(address: string, options?: ListenOptions): Promise<Listener>;
export async function listen(
  address: string,
  // biome-ignore lint/suspicious/noExplicitAny: of either codec, as the signatures above say which.
  options: ListenOptions<any> = {},
): Promise<Listener<unknown>> {
  return listenOver(envFor(options), address, options);
}

/**
 * Connects to a listening peer, in one attempt; with `reconnect` the peer makes every further connection itself.
 * Fails: as `listen`, and with PAIPAI_ERR_DEADLINE (`connectTimeoutMs`), _ABORTED, _HANDSHAKE_TIMEOUT, _NET_NAME, _SECRET, _VERSION_MISMATCH,
 * _FRAME_MAGIC (something else answers there), _PEER_CLOSED, and with the system's error (ECONNREFUSED, ENOENT …).
 */
export function connect(
  address: string,
  options: ConnectOptions<unknown> & { codec: 'msgpack' },
): Promise<Peer<unknown>>;
export function connect(address: string, options?: ConnectOptions): Promise<Peer>;
export async function connect(
  address: string,
  // biome-ignore lint/suspicious/noExplicitAny: of either codec, as the signatures above say which.
  options: ConnectOptions<any> = {},
): Promise<Peer<unknown>> {
  return connectOver(envFor(options), address, options);
}

/** One for all: peers that share a clock share the timer of their deadlines. */
const realEnv = createRealEnv();

function envFor(options: TransportOptions<unknown>): NetworkEnv {
  const { engine, io } = checkEngine(options);
  return { ...realEnv, network: selectEngine(engine, io).network };
}

interface Transport {
  listen: typeof listen;
  connect: typeof connect;
  PaipaiError: typeof PaipaiError;
  isPaipaiError: typeof isPaipaiError;
}

/** What `require('paipainet/transport')` gives. */
const transport: Transport = { listen, connect, PaipaiError, isPaipaiError };

export { transport as 'module.exports' };
