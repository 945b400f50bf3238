import { constants } from 'node:os';
import { systemError } from '../base/errors.js';
import { type Address, formatAddress } from './address.js';
import type { ChannelOptions, FrameChannel, FrameListener, Network } from './frame-channel.js';
import { abortedError, frameBytesMaxOf } from './limits.js';
import { memoryChannelPair, type Schedule } from './memory-channel.js';

interface Listening {
  readonly onChannel: (channel: FrameChannel) => void;
  readonly options: ChannelOptions;
}

/** Ports for listeners that leave the choice to us; the range is the one IANA keeps free for that. */
const chosenPortFirst = 49_152;

/** A network of its own inside this process: addresses mean nothing outside the instance. */
export class MemoryNetwork implements Network {
  readonly engine = 'memory';
  readonly #schedule: Schedule;
  readonly #listeners = new Map<string, Listening>();
  #chosenPort = chosenPortFirst;
  #connectionCount = 0;

  /** @param schedule calls back in a later turn; default `setImmediate` */
  constructor(schedule: Schedule = (callback) => void setImmediate(callback)) {
    this.#schedule = schedule;
  }

  async connect(address: Address, options: ChannelOptions = {}): Promise<FrameChannel> {
    frameBytesMaxOf(options);
    const text = formatAddress(address);
    await new Promise<void>((resolve) => this.#schedule(resolve));
    if (options.signal?.aborted) throw abortedError(text, options.signal);
    const listener = this.#listeners.get(text);
    if (listener === undefined) throw nobodyListens(address);
    const [near, far] = memoryChannelPair({
      schedule: this.#schedule,
      first: { ...options, remoteAddress: text },
      second: { ...listener.options, remoteAddress: `memory://${++this.#connectionCount}` },
    });
    listener.onChannel(far);
    return near;
  }

  async listen(
    address: Address,
    onChannel: (channel: FrameChannel) => void,
    options: ChannelOptions = {},
  ): Promise<FrameListener> {
    frameBytesMaxOf(options);
    const bound: Address =
      address.scheme === 'tcp' && address.port === 0
        ? { ...address, port: this.#chosenPort++ }
        : address;
    const text = formatAddress(bound);
    if (this.#listeners.has(text)) throw systemErrorOf('EADDRINUSE', 'listen', bound);
    const listener: Listening = { onChannel, options };
    this.#listeners.set(text, listener);
    return {
      address: bound,
      close: async () => {
        if (this.#listeners.get(text) === listener) this.#listeners.delete(text);
      },
      ref: () => {},
      unref: () => {},
    };
  }
}

function nobodyListens(address: Address): Error {
  return systemErrorOf(address.scheme === 'unix' ? 'ENOENT' : 'ECONNREFUSED', 'connect', address);
}

function systemErrorOf(
  name: 'EADDRINUSE' | 'ECONNREFUSED' | 'ENOENT',
  syscall: string,
  address: Address,
): Error {
  const text = formatAddress(address);
  return systemError(-constants.errno[name], `${syscall} ${text}`, { syscall, address: text });
}
