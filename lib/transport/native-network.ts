import { lookup } from 'node:dns/promises';
import { unlink } from 'node:fs/promises';
import { isIP } from 'node:net';
import { debuglog } from 'node:util';
import { errorOfResult, PaipaiError, systemError } from '../base/errors.js';
import type { NativeBinding } from '../native/binding.js';
import { type ConnectionEvents, type NativeCore, nativeCoreOf } from '../native/handles.js';
import type { IoChoice, IoInUse } from '../native/io.js';
import { type Address, formatAddress, parseAddress } from './address.js';
import type {
  ChannelOptions,
  FrameChannel,
  FrameListener,
  Network,
  PathChoice,
} from './frame-channel.js';
import { abortedError, connectTimeoutMsOf, frameBytesMaxOf, pathOf } from './limits.js';
import { NativeChannel } from './native-channel.js';

const log = debuglog('paipainet');

/** How long accepting rests when the process is out of descriptors, or the like. */
const acceptPauseMs = 100;

/** The addon's sockets. */
export class NativeNetwork implements Network {
  readonly engine = 'native';
  readonly #core: NativeCore;

  /** Throws as `nativeCoreOf`. */
  constructor(binding: NativeBinding, io: IoChoice = 'auto') {
    this.#core = nativeCoreOf(binding, io);
  }

  get io(): IoInUse {
    return this.#core.io;
  }

  async connect(address: Address, options: ChannelOptions = {}): Promise<FrameChannel> {
    const settings = settingsOf(options, address);
    const timeoutMs = connectTimeoutMsOf(options);
    const { signal } = options;
    const text = formatAddress(address);
    if (signal?.aborted) throw abortedError(text, signal);
    // The other ways to end it, raced against each step.
    let stopReason: Error | undefined;
    let reject!: (error: Error) => void;
    const stopped = new Promise<never>((_, reject_) => {
      reject = reject_;
    });
    const stop = (error: Error): void => {
      stopReason ??= error;
      reject(error);
    };
    stopped.catch(() => {}); // Nobody may be waiting when it fires.
    const timer = setTimeout(() => {
      const message = `${text} did not answer within ${timeoutMs} ms`;
      stop(new PaipaiError('PAIPAI_ERR_DEADLINE', message, { address: text }));
    }, timeoutMs);
    const onAbort = (): void => stop(abortedError(text, signal!)); // A listener of that signal.
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      let failure: unknown;
      for (const { host, port } of await Promise.race([endpointsOf(address), stopped])) {
        let attempt: Attempt | undefined;
        try {
          attempt = new Attempt(this.#core, host, port, settings, address);
          return await Promise.race([attempt.connected, stopped]);
        } catch (thrown) {
          attempt?.abandon();
          if (stopReason !== undefined) throw stopReason;
          failure ??= thrown;
        }
      }
      throw failure;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async listen(
    address: Address,
    onChannel: (channel: FrameChannel) => void,
    options: ChannelOptions = {},
  ): Promise<FrameListener> {
    const settings = settingsOf(options, address);
    // Resolving a name gives at least one address.
    const { host, port } = (await endpointsOf(address))[0]!;
    return new NativeListener(this.#core, address, host, port, settings, onChannel);
  }
}

/** What each connection of a listener, or the one of a call of `connect`, is made with. */
interface ConnectionSettings {
  readonly frameBytesMax: number;
  readonly spinMicroseconds: number;
  readonly path: PathChoice;
  readonly noDelay: boolean;
  readonly keepAliveMs: number;
}

function settingsOf(options: ChannelOptions, address: Address): ConnectionSettings {
  const { spinMicroseconds = 0, noDelay = true, keepAliveMs = 0 } = options;
  const path = pathOf(options, address);
  const frameBytesMax = frameBytesMaxOf(options);
  return { frameBytesMax, spinMicroseconds, path, noDelay, keepAliveMs };
}

interface Endpoint {
  readonly host: string;
  /** -1: `host` is a path. */
  readonly port: number;
}

async function endpointsOf(address: Address): Promise<Endpoint[]> {
  if (address.scheme === 'unix') return [{ host: address.path, port: -1 }];
  const { host, port } = address;
  if (isIP(host) !== 0) return [{ host, port }];
  const found = await lookup(host, { all: true });
  return found.map((entry) => ({ host: entry.address, port }));
}

/** Of a connection just made or accepted. The addon's own are those of the defaults. */
function setUp(core: NativeCore, connection: number, settings: ConnectionSettings): void {
  const { spinMicroseconds, noDelay, keepAliveMs } = settings;
  if (spinMicroseconds > 0) core.setConnectionSpin(connection, spinMicroseconds);
  if (!noDelay || keepAliveMs > 0) core.setTcpOptions(connection, noDelay, keepAliveMs);
}

/** One connection on its way. The constructor throws what the system says at once. */
class Attempt implements ConnectionEvents {
  readonly connected: Promise<FrameChannel>;
  readonly #core: NativeCore;
  readonly #address: Address;
  readonly #settings: ConnectionSettings;
  readonly #connection: number;
  #isPending = true;
  #channel: NativeChannel | undefined;
  #resolve!: (channel: FrameChannel) => void;
  #reject!: (error: Error) => void;

  constructor(
    core: NativeCore,
    host: string,
    port: number,
    settings: ConnectionSettings,
    address: Address,
  ) {
    this.#core = core;
    this.#address = address;
    this.#settings = settings;
    const { frameBytesMax } = settings;
    this.connected = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#connection = core.connect(host, port, frameBytesMax, formatAddress(address), this);
    setUp(core, this.#connection, settings);
  }

  /** Nobody wants the connection any more, be it on its way or just made. */
  abandon(): void {
    if (this.#isPending) this.#core.close(this.#connection);
    this.#isPending = false;
    this.#channel?.destroy();
  }

  onConnected(): void {
    this.#isPending = false;
    const { frameBytesMax, path } = this.#settings;
    const setting = { core: this.#core, socket: this.#address.scheme, frameBytesMax, path };
    this.#channel = new NativeChannel(setting, this.#connection, formatAddress(this.#address));
    this.#core.attach(this.#connection, this.#channel);
    this.#resolve(this.#channel);
  }

  onClosed(result: number): void {
    this.#isPending = false;
    const text = formatAddress(this.#address);
    this.#reject(systemError(result, `connect to ${text}`, { syscall: 'connect', address: text }));
  }

  // Nothing else happens to a connection that does not stand.
  onFrame(): void {}
  onSeveral(): boolean {
    return true;
  }
  onSink(): void {}
  onSent(): void {}
  onDrain(): void {}
}

class NativeListener implements FrameListener {
  readonly address: Address;
  readonly #core: NativeCore;
  readonly #listener: number;
  #isOpen = true;
  #keepsAlive = true;
  #pause: NodeJS.Timeout | undefined;

  constructor(
    core: NativeCore,
    asked: Address,
    host: string,
    port: number,
    settings: ConnectionSettings,
    onChannel: (channel: FrameChannel) => void,
  ) {
    const { frameBytesMax, spinMicroseconds, path } = settings;
    this.#core = core;
    const text = formatAddress(asked);
    const setting = { core, socket: asked.scheme, frameBytesMax, path };
    this.#listener = core.listen(host, port, frameBytesMax, text, {
      onAccepted: (connection) => {
        const remoteAddress = asked.scheme === 'unix' ? text : core.remoteAddress(connection);
        const channel = new NativeChannel(setting, connection, remoteAddress);
        core.attach(connection, channel);
        setUp(core, connection, settings);
        try {
          onChannel(channel);
        } catch (thrown) {
          // Nobody has it, so nobody would ever close it.
          channel.destroy();
          throw thrown;
        }
      },
      onPaused: (result) => {
        log('accepting at %s rests: %s', text, errorOfResult(result, 'accept').message);
        // A listener that rests watches nothing, so meanwhile the timer is what keeps the process.
        this.#pause = setTimeout(() => core.resumeListener(this.#listener), acceptPauseMs);
        if (!this.#keepsAlive) this.#pause.unref();
      },
    });
    if (spinMicroseconds > 0) core.setListenerSpin(this.#listener, spinMicroseconds);
    // The port that the system chose; the host stays as it was asked for.
    const bound =
      asked.scheme === 'tcp' ? parseAddress(core.listenerAddress(this.#listener)) : asked;
    this.address =
      asked.scheme === 'tcp' && bound.scheme === 'tcp' ? { ...asked, port: bound.port } : asked;
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearTimeout(this.#pause);
    this.#core.closeListener(this.#listener);
    if (this.address.scheme !== 'unix') return;
    try {
      await unlink(this.address.path);
    } catch (thrown) {
      // Somebody else removed it, which is as good.
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
    }
  }

  ref(): void {
    this.#setKeepsAlive(true);
  }

  unref(): void {
    this.#setKeepsAlive(false);
  }

  #setKeepsAlive(keepsAlive: boolean): void {
    if (!this.#isOpen) return;
    this.#keepsAlive = keepsAlive;
    if (keepsAlive) this.#pause?.ref();
    else this.#pause?.unref();
    this.#core.setListenerKeepsAlive(this.#listener, keepsAlive);
  }
}
