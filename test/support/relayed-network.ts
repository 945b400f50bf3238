import { connectPeer } from '../../dist/session/connect.js';
import { listenPeers } from '../../dist/session/listen.js';
import { passOn } from '../../dist/session/relay/pass-on.js';
import { StreamNetwork } from '../../dist/session/relay/stream-network.js';
import type { PeerService } from '../../dist/session/types.js';
import { type Address, formatAddress } from '../../dist/transport/address.js';
import type {
  ChannelOptions,
  FrameChannel,
  FrameListener,
  Network,
} from '../../dist/transport/frame-channel.js';
import { frameBytesMaxOf } from '../../dist/transport/limits.js';
import { PortableNetwork } from '../../dist/transport/portable-network.js';
import { testEnv } from './test-env.js';

/** Channels that a node in between passes on, as streams of its sessions with both sides. */
export class RelayedNetwork implements Network {
  readonly engine = 'js';
  readonly #network = new PortableNetwork();
  readonly #env = testEnv(this.#network);
  readonly #streams = new StreamNetwork();

  async listen(
    address: Address,
    onChannel: (channel: FrameChannel) => void,
    options: ChannelOptions = {},
  ): Promise<FrameListener> {
    frameBytesMaxOf(options);
    const node = await this.#serve(formatAddress({ ...address, port: 0 } as Address), {
      onStream: (stream) =>
        new Promise((resolve) => {
          onChannel(
            this.#streams.channel(stream, stream.peer.remoteAddress, options, () => resolve()),
          );
        }),
    });
    const behind = formatAddress(node.address);
    return this.#serve(formatAddress(address), {
      onStream: async (near) => {
        const peer = await connectPeer(this.#env, behind, { nodeId: 'hub' });
        try {
          await passOn(near, peer.openStream('accept'));
          await peer.close();
        } finally {
          peer.destroy();
        }
      },
    });
  }

  async connect(address: Address, options: ChannelOptions = {}): Promise<FrameChannel> {
    frameBytesMaxOf(options);
    const target = formatAddress(address);
    const { signal } = options;
    const peer = await connectPeer(this.#env, target, {
      nodeId: 'client',
      ...(signal === undefined ? {} : { signal }),
    });
    const stream = peer.openStream('open');
    return this.#streams.channel(stream, target, options, () => peer.destroy());
  }

  /** Sessions, of which a closed listener leaves those that stand alone. */
  async #serve(address: string, service: PeerService): Promise<FrameListener> {
    let listener: FrameListener | undefined;
    const network: Network = {
      engine: 'js',
      connect: (...call) => this.#network.connect(...call),
      listen: async (...call) => {
        listener = await this.#network.listen(...call);
        return listener;
      },
    };
    await listenPeers({ ...this.#env, network }, address, { nodeId: 'listens', service });
    if (listener === undefined) throw new Error('nothing listens');
    return listener;
  }
}
