/**
 * `nats` 2 over a `nats-server` of the bench's own, which runs on the CPUs of the side that listens. Messages are published with a
 * subject for the answer, which costs less than `request`; a link's own subject brings the answers. Where nobody bounds what is
 * under way, a round trip to the broker after each MiB does.
 */
import type { Link, Messaging } from '../../support/messaging.js';
import { loadPackage } from '../../support/packages.js';
import { startServer } from './server.js';

/** The part of `nats` that is used here. */
interface NatsMessage {
  readonly data: Uint8Array;
  readonly reply?: string;
}

interface NatsConnection {
  publish(subject: string, payload: Uint8Array, options?: { reply: string }): void;
  subscribe(
    subject: string,
    options: { callback: (error: Error | null, message: NatsMessage) => void },
  ): unknown;
  flush(): Promise<void>;
  close(): Promise<void>;
}

interface Nats {
  connect(options: { servers: string }): Promise<NatsConnection>;
  createInbox(): string;
}

const { connect, createInbox } = loadPackage<Nats>('nats');

const subject = 'bench';
const flushBytes = 1024 * 1024;

/** Resolves when the broker knows of it. */
async function subscribe(
  connection: NatsConnection,
  to: string,
  onMessage: (message: Buffer, reply: string) => void,
): Promise<void> {
  connection.subscribe(to, {
    callback(error, { data, reply = '' }) {
      if (error !== null) throw error;
      onMessage(Buffer.from(data.buffer, data.byteOffset, data.length), reply);
    },
  });
  await connection.flush();
}

export const messaging: Messaging = {
  async listen({ path }, onMessage) {
    if (path === 'unix') throw new Error('nats-server has no Unix sockets');
    const server = await startServer();
    const connection = await connect({ servers: server.address });
    await subscribe(connection, subject, (message, reply) => {
      onMessage(message, {
        send(answer) {
          connection.publish(reply, answer);
          return true;
        },
      });
    });
    return {
      address: server.address,
      close() {
        void connection.close();
        server.close();
      },
    };
  },

  async connect(_settings, address, onMessage, isBounded): Promise<Link> {
    const connection = await connect({ servers: address });
    const reply = createInbox();
    await subscribe(connection, reply, onMessage);
    let unflushedBytes = 0;
    return {
      send(message) {
        connection.publish(subject, message, { reply });
        unflushedBytes += message.length;
        return isBounded || unflushedBytes < flushBytes;
      },
      async drained() {
        unflushedBytes = 0;
        await connection.flush();
      },
      close: () => void connection.close(),
    };
  },
};
