/**
 * `zeromq` (zeromq.js 6): a pair where there is one connection, dealers and a router where there are many. It has one receiving loop
 * a socket. Where messages under way are bounded by those who exchange them, its queues are not, and `send` never waits: 13 to 24 %
 * more requests than with a `send` awaited at a time, which is what a stream needs.
 */
import type { Link, Messaging } from '../../support/messaging.js';
import { loadPackage } from '../../support/packages.js';
import type { Settings } from '../../support/types.js';

/** The part of `zeromq` that is used here. */
interface ZeroMqSocket extends AsyncIterable<Buffer[]> {
  readonly lastEndpoint: string | null;
  bind(address: string): Promise<void>;
  connect(address: string): void;
  send(parts: Buffer | readonly Buffer[]): Promise<void>;
  close(): void;
}

interface SocketOptions {
  readonly linger: number;
  readonly sendHighWaterMark?: number;
  readonly receiveHighWaterMark?: number;
  readonly sendTimeout?: number;
}

type SocketClass = new (options: SocketOptions) => ZeroMqSocket;

interface ZeroMq {
  readonly Pair: SocketClass;
  readonly Dealer: SocketClass;
  readonly Router: SocketClass;
}

const { Pair, Dealer, Router } = loadPackage<ZeroMq>('zeromq');

const queueMax = 1024;
const waiting: SocketOptions = { linger: 0 };
const neverWaiting: SocketOptions = {
  linger: 0,
  sendHighWaterMark: 0,
  receiveHighWaterMark: 0,
  sendTimeout: 0,
};

/** What is to be sent, in order, by a socket whose `send` waits: only one may do so at a time. */
class Outbox {
  readonly #socket: ZeroMqSocket;
  #queue: (Buffer | readonly Buffer[])[] = [];
  #isSending = false;
  #onDrained: () => void = () => {};

  constructor(socket: ZeroMqSocket) {
    this.#socket = socket;
  }

  push(parts: Buffer | readonly Buffer[]): boolean {
    this.#queue.push(parts);
    if (!this.#isSending) this.#sendAll().catch(fail);
    return this.#queue.length < queueMax;
  }

  drained(): Promise<void> {
    if (this.#queue.length < queueMax) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onDrained = resolve;
    });
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      this.#onDrained();
      for (const parts of batch) await this.#socket.send(parts);
    }
    this.#isSending = false;
  }
}

/** A closed socket ends its loop; whatever else goes wrong ends the program, and so the trial. */
function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}

async function receive(socket: ZeroMqSocket, onParts: (parts: Buffer[]) => void): Promise<void> {
  for await (const parts of socket) onParts(parts);
}

function isAlone({ connections = '1' }: Settings): boolean {
  return connections === '1';
}

export const messaging: Messaging = {
  async listen(settings, onMessage) {
    const socket = new (isAlone(settings) ? Pair : Router)(neverWaiting);
    const send = (parts: Buffer | Buffer[]): boolean => {
      socket.send(parts).catch(fail);
      return true;
    };
    await socket.bind(settings.path === 'unix' ? `ipc://${settings.socket}` : 'tcp://127.0.0.1:*');
    receive(socket, ([first, second]) => {
      if (first === undefined) return;
      if (second === undefined) onMessage(first, { send });
      else onMessage(second, { send: (message) => send([first, message]) });
    }).catch(fail);
    return { address: socket.lastEndpoint ?? '', close: () => socket.close() };
  },

  async connect(settings, address, onMessage, isBounded): Promise<Link> {
    const socket = new (isAlone(settings) ? Pair : Dealer)(isBounded ? neverWaiting : waiting);
    const outbox = new Outbox(socket);
    socket.connect(address);
    receive(socket, ([message]) => {
      if (message !== undefined) onMessage(message);
    }).catch(fail);
    return {
      send(message) {
        if (!isBounded) return outbox.push(message);
        socket.send(message).catch(fail);
        return true;
      },
      drained: () => outbox.drained(),
      close: () => socket.close(),
    };
  },
};
