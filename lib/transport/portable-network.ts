import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';
import { debuglog } from 'node:util';
import { PaipaiError } from '../base/errors.js';
import { type Address, formatAddress } from './address.js';
import type { ChannelOptions, FrameChannel, FrameListener, Network } from './frame-channel.js';
import { GatherBuffers } from './frame-gatherer.js';
import { abortedError, connectTimeoutMsOf, frameBytesMaxOf } from './limits.js';
import { PortableChannel } from './portable-channel.js';

const log = debuglog('paipainet');

/** The engine in plain TypeScript, over `node:net`. */
export class PortableNetwork implements Network {
  readonly engine = 'js';
  readonly #buffers = new GatherBuffers();

  async connect(address: Address, options: ChannelOptions = {}): Promise<FrameChannel> {
    const frameBytesMax = frameBytesMaxOf(options);
    const socket = await openSocket(address, connectTimeoutMsOf(options), options);
    return this.#channel(socket, address.scheme, formatAddress(address), frameBytesMax);
  }

  async listen(
    address: Address,
    onChannel: (channel: FrameChannel) => void,
    options: ChannelOptions = {},
  ): Promise<FrameListener> {
    const frameBytesMax = frameBytesMaxOf(options);
    const server = createServer({ allowHalfOpen: true, ...tcpOptionsOf(options) }, (socket) => {
      onChannel(
        this.#channel(socket, address.scheme, remoteAddressOf(socket, address), frameBytesMax),
      );
    });
    await startListening(server, address);
    return new PortableListener(server, boundAddress(server, address));
  }

  #channel(
    socket: Socket,
    path: 'tcp' | 'unix',
    remoteAddress: string,
    frameBytesMax: number,
  ): FrameChannel {
    return new PortableChannel(socket, {
      path,
      remoteAddress,
      frameBytesMax,
      buffers: this.#buffers,
    });
  }
}

class PortableListener implements FrameListener {
  readonly address: Address;
  readonly #server: Server;

  constructor(server: Server, address: Address) {
    this.#server = server;
    this.address = address;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    // The server's own callback waits for every connection to end; the socket and its file are gone at once.
    this.#server.close();
  }

  ref(): void {
    this.#server.ref();
  }

  unref(): void {
    this.#server.unref();
  }
}

function openSocket(address: Address, timeoutMs: number, options: ChannelOptions): Promise<Socket> {
  const { signal } = options;
  const text = formatAddress(address);
  if (signal?.aborted) return Promise.reject(abortedError(text, signal));
  return new Promise((resolve, reject) => {
    const socket = connect(connectOptions(address, options));
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.off('connect', onConnect);
      socket.off('error', onError);
    };
    const fail = (error: Error): void => {
      finish();
      socket.destroy();
      reject(error);
    };
    const onConnect = (): void => {
      finish();
      resolve(socket);
    };
    const onError = (error: Error): void => fail(connectError(error));
    // Called only as a listener of that signal.
    const onAbort = (): void => fail(abortedError(text, signal!));
    const timer = setTimeout(() => {
      fail(
        new PaipaiError('PAIPAI_ERR_DEADLINE', `${text} did not answer within ${timeoutMs} ms`, {
          address: text,
        }),
      );
    }, timeoutMs);
    socket.on('connect', onConnect);
    socket.on('error', onError);
    signal?.addEventListener('abort', onAbort);
  });
}

function tcpOptionsOf({ noDelay = true, keepAliveMs = 0 }: ChannelOptions): {
  noDelay: boolean;
  keepAlive: boolean;
  keepAliveInitialDelay: number;
} {
  return { noDelay, keepAlive: keepAliveMs > 0, keepAliveInitialDelay: keepAliveMs };
}

function connectOptions(address: Address, options: ChannelOptions): NetConnectOpts {
  if (address.scheme === 'unix') return { path: address.path, allowHalfOpen: true };
  const { host, port } = address;
  return { host, port, allowHalfOpen: true, ...tcpOptionsOf(options) };
}

/** A host with several addresses fails with all their errors at once and no message; the first speaks for them. */
function connectError(error: Error): Error {
  if (!(error instanceof AggregateError)) return error;
  const [first] = error.errors;
  if (!(first instanceof Error)) return error;
  first.cause ??= error;
  return first;
}

function startListening(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(
      address.scheme === 'unix'
        ? { path: address.path }
        : { host: address.host, port: address.port },
      () => {
        server.off('error', reject);
        // Too many open files, say: this connection is lost, the next may not be.
        server.on('error', (error) =>
          log('accepting at %s failed: %s', formatAddress(address), error.message),
        );
        resolve();
      },
    );
  });
}

function boundAddress(server: Server, asked: Address): Address {
  const bound = server.address();
  if (asked.scheme === 'unix' || bound === null || typeof bound === 'string') return asked;
  return { ...asked, port: bound.port };
}

/** A Unix client has no name of its own, so it goes by the one it came to. */
function remoteAddressOf(socket: Socket, local: Address): string {
  const { remoteAddress: host, remotePort: port } = socket;
  if (local.scheme === 'unix' || host === undefined || port === undefined)
    return formatAddress(local);
  return formatAddress({ scheme: 'tcp', host, port });
}
