/**
 * `@grpc/grpc-js`: one stream in both directions for each connection, which is its fastest way to carry many messages; a call
 * for each costs several times as much. The service is described here instead of by a .proto file, and passes bytes on as
 * they are. Each client has a connection of its own.
 */

import { once } from 'node:events';
import type { Client, ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import type { Messaging } from '../../support/messaging.js';
import { loadPackage } from '../../support/packages.js';

const grpc = loadPackage<typeof import('@grpc/grpc-js')>('@grpc/grpc-js');

const path = '/bench.Messages/Exchange';
const asIs = (bytes: Buffer): Buffer => bytes;

const service = {
  exchange: {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
} as const;

const options = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc-node.flow_control_window': 8 * 2 ** 20,
};

function connectTo(address: string): Promise<Client> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), options);
  return new Promise((resolve, reject) => {
    client.waitForReady(Date.now() + 10_000, (error) => {
      if (error === undefined) resolve(client);
      else reject(error);
    });
  });
}

export const messaging: Messaging = {
  async listen(settings, onMessage) {
    const server = new grpc.Server(options);
    server.addService(service, {
      exchange(call: ServerDuplexStream<Buffer, Buffer>): void {
        const replier = { send: (message: Buffer) => call.write(message) };
        call.on('data', (message: Buffer) => onMessage(message, replier));
        call.on('end', () => call.end());
        call.on('error', () => {}); // A client that went away.
      },
    });
    const target = settings.path === 'unix' ? `unix:${settings.socket}` : '127.0.0.1:0';
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(target, grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    return {
      address: settings.path === 'unix' ? target : `127.0.0.1:${port}`,
      close: () => server.forceShutdown(),
    };
  },

  async connect(_settings, address, onMessage) {
    const client = await connectTo(address);
    const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(path, asIs, asIs);
    call.on('data', onMessage);
    let isClosing = false;
    call.on('error', (error) => {
      if (!isClosing) throw error;
    });
    return {
      send: (message) => call.write(message),
      async drained() {
        if (call.writableNeedDrain) await once(call, 'drain');
      },
      close() {
        isClosing = true;
        call.cancel();
        client.close();
      },
    };
  },
};
