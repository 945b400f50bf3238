import { PaipaiError } from '../../base/errors.js';
import { formatAddress } from '../../transport/address.js';
import type {
  ChannelOptions,
  FrameChannel,
  Network,
  NetworkEnv,
} from '../../transport/frame-channel.js';
import { GatherBuffers } from '../../transport/frame-gatherer.js';
import { frameBytesMaxOf } from '../../transport/limits.js';
import { PortableChannel } from '../../transport/portable-channel.js';
import { connectPeer } from '../connect.js';
import type { Peer, PeerListener, PeerStream, SessionOptions } from '../types.js';
import { StreamSocket } from './stream-socket.js';

/**
 * A write to a stream takes a turn of the loop until the system has it, so more goes at once than to a socket; little enough for what is urgent
 * and waits behind it.
 */
const bulkBytesMax = 512 * 1024;

/**
 * Whole sessions inside of streams of other ones. Whoever passes the bytes on between two such streams neither reads nor changes what is said, so
 * requests, streams, credit, deadlines and errors are those of any other session, and each side proves the secret to the other.
 */
export class StreamNetwork {
  readonly #buffers = new GatherBuffers();

  /**
   * `connectPeer` over `stream`, which is taken over.
   * @param address of whoever passes on, for people
   */
  connect(
    env: NetworkEnv,
    stream: PeerStream,
    address: string,
    options: SessionOptions,
  ): Promise<Peer> {
    const network: Network = {
      engine: 'js',
      connect: async (target, channelOptions) =>
        this.channel(stream, formatAddress(target), channelOptions),
      listen: () =>
        Promise.reject(new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'nobody listens on a stream')),
    };
    return connectPeer({ ...env, network }, address, options);
  }

  /** Gives `listener` the session in `stream`, which is taken over. Settles when it is over. */
  accept(stream: PeerStream, listener: PeerListener): Promise<void> {
    return new Promise((resolve) => {
      listener.accept(this.channel(stream, stream.peer.remoteAddress, {}, resolve));
    });
  }

  /** Frames over `stream`, which is taken over. */
  channel(
    stream: PeerStream,
    remoteAddress: string,
    options: ChannelOptions = {},
    onClosed: () => void = () => {},
  ): FrameChannel {
    const socket = new StreamSocket(stream);
    socket.once('close', onClosed);
    return new PortableChannel(socket, {
      path: 'hub',
      remoteAddress,
      frameBytesMax: frameBytesMaxOf(options),
      buffers: this.#buffers,
      bulkBytesMax,
    });
  }
}
