/**
 * `ws`, as one writes it who wants it fast: no compression, binary messages, and the frames of a turn in one write. Masks of
 * zero, which its option `generateMask` allows, spare the client from turning every byte over.
 */
import type { EventEmitter } from 'node:events';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { listenOn } from '../../support/addresses.js';
import type { Link, Messaging } from '../../support/messaging.js';
import { loadPackage } from '../../support/packages.js';

/** The part of `ws` that is used here. */
interface WebSocket extends EventEmitter {
  send(message: Buffer): void;
  close(): void;
}

interface Ws {
  readonly WebSocket: new (address: string, options: object) => WebSocket;
  readonly WebSocketServer: new (options: object) => EventEmitter;
}

const { WebSocket, WebSocketServer } = loadPackage<Ws>('ws');

const common = { perMessageDeflate: false, maxPayload: 64 * 2 ** 20, skipUTF8Validation: true };
/** More than the system takes at once, so that it always finds something to take. */
const queuedBytesMax = 256 * 1024;

/** One side of a connection. `ws` writes header and payload of each message apart, so the socket is corked for a turn. */
class CorkedLink implements Link {
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  #isCorked = false;

  constructor(webSocket: WebSocket, socket: Socket) {
    this.#webSocket = webSocket;
    this.#socket = socket;
  }

  send(message: Buffer): boolean {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#webSocket.send(message);
    return this.#socket.writableLength < queuedBytesMax;
  }

  async drained(): Promise<void> {
    await once(this.#socket, 'drain');
  }

  close(): void {
    this.#webSocket.close();
  }
}

export const messaging: Messaging = {
  async listen({ path, socket = '' }, onMessage) {
    const server = createServer();
    const webSockets = new WebSocketServer({ server, clientTracking: false, ...common });
    webSockets.on('connection', (webSocket: WebSocket, request: IncomingMessage) => {
      const link = new CorkedLink(webSocket, request.socket);
      webSocket.on('message', (message: Buffer) => onMessage(message, link));
    });
    const address = await listenOn(server, path, socket);
    return { address, close: () => server.closeAllConnections() };
  },

  async connect(_settings, address, onMessage) {
    const url = address.startsWith('unix://')
      ? `ws+unix:${address.slice('unix://'.length)}:/`
      : address.replace('tcp:', 'ws:');
    const webSocket = new WebSocket(url, { generateMask: () => {}, ...common });
    let socket: Socket | undefined;
    webSocket.on('upgrade', (response: IncomingMessage) => {
      socket = response.socket;
    });
    webSocket.on('message', onMessage);
    await once(webSocket, 'open');
    return new CorkedLink(webSocket, socket as Socket); // 'upgrade' comes before 'open'.
  },
};
