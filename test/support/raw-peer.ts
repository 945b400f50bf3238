import { onTestFinished } from 'vitest';
import { parseAddress } from '../../dist/transport/address.js';
import type { FrameChannel, Network } from '../../dist/transport/frame-channel.js';
import { FrameType } from '../../dist/wire/frame.js';
import { encodeHello, type Hello } from '../../dist/wire/hello.js';

export interface RawFrame {
  type: number;
  name: number;
  streamId: number;
  argument: number;
  payload: Uint8Array;
}

/** A peer without manners: it speaks frames and says what the test tells it to. */
export class RawPeer {
  readonly channel: FrameChannel;
  readonly frames: RawFrame[] = [];
  readonly closed: Promise<Error | null>;
  #waiters: (() => void)[] = [];
  #isClosed = false;

  constructor(channel: FrameChannel) {
    this.channel = channel;
    this.closed = new Promise((resolve) => {
      channel.receiver = {
        onFrame: ({ type, name, streamId, argument, bytes, start, end }) => {
          const payload = Uint8Array.prototype.slice.call(bytes, start, end);
          this.frames.push({ type, name, streamId, argument, payload });
          this.#wake();
        },
        onSink: () => {},
        onDrain: () => {},
        onClose: (error) => {
          this.#isClosed = true;
          this.#wake();
          resolve(error);
        },
      };
    });
    onTestFinished(() => channel.destroy());
  }

  static async connect(network: Network, address: string): Promise<RawPeer> {
    return new RawPeer(await network.connect(parseAddress(address)));
  }

  /** A peer that has done the handshake without a secret. */
  static async ready(network: Network, address: string): Promise<RawPeer> {
    const raw = await RawPeer.connect(network, address);
    raw.hello();
    raw.send(FrameType.ready);
    await raw.next(FrameType.ready);
    return raw;
  }

  hello(changes: Partial<Hello> = {}): void {
    const hello: Hello = {
      versionMin: 1,
      versionMax: 1,
      features: 0,
      nonce: new Uint8Array(32),
      netName: 'default',
      nodeId: 'raw',
      ...changes,
    };
    this.send(FrameType.hello, { payload: encodeHello(hello) });
  }

  send(type: number, fields: Partial<RawFrame> & { flags?: number } = {}): void {
    const { flags = 0, name = 0, streamId = 0, argument = 0, payload } = fields;
    this.channel.send(type, flags, name, streamId, argument, payload);
  }

  /** Waits for the first frame of `type` that the test has not seen, and takes it out. */
  async next(type: number): Promise<RawFrame> {
    for (;;) {
      const at = this.frames.findIndex((frame) => frame.type === type);
      if (at >= 0) return this.frames.splice(at, 1)[0] as RawFrame;
      if (this.#isClosed) throw new Error(`the channel closed before a frame of type ${type} came`);
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}
