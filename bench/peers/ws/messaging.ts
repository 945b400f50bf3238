/**
 * `ws` by its own means: binary messages without compression. Masks of zero, which its option `generateMask` allows, spare the client
 * from turning every byte over.
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

/** One side of a connection. */
export class WebSocketLink implements Link {
  readonly #webSocket: WebSocket;
  protected readonly socket: Socket;

  constructor(webSocket: WebSocket, socket: Socket) {
    this.#webSocket = webSocket;
    this.socket = socket;
  }

  send(message: Buffer): boolean {
    this.#webSocket.send(message);
    return this.socket.writableLength < queuedBytesMax;
  }

  async drained(): Promise<void> {
    await once(this.socket, 'drain');
  }

  close(): void {
    this.#webSocket.close();
  }
}

/** Both sides, each connection a `LinkType`. */
export function messagingBy(LinkType: typeof WebSocketLink): Messaging {
  return {
    async listen({ path, socket = '' }, onMessage) {
      const server = createServer();
      const webSockets = new WebSocketServer({ server, clientTracking: false, ...common });
      webSockets.on('connection', (webSocket: WebSocket, request: IncomingMessage) => {
        const link = new LinkType(webSocket, request.socket);
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
      return new LinkType(webSocket, socket as Socket); // 'upgrade' comes before 'open'.
    },
  };
}

export const messaging: Messaging = messagingBy(WebSocketLink);
