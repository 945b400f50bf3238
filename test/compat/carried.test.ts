import net, { type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { closed, listening, once } from './support.js';
import { ways } from './ways.js';

/** That what is compared is not Node's own by mistake. */

test.each(Object.entries(ways))(
  '%s carries its connections, accepted ones too',
  async (name, way) => {
    const leave = way.enter();
    const server = way.net.createServer((socket) => socket.resume());
    await listening(server);
    const accepting = once(server, 'connection');
    const { port } = server.address() as AddressInfo;
    const client = way.net.connect(port, '127.0.0.1');
    const [accepted] = (await accepting) as [Socket];
    const onread = { buffer: Buffer.alloc(8), callback: () => true };
    const reader = way.net.connect({ port, host: '127.0.0.1', onread });
    for (const each of [client, reader]) if (each.connecting) await once(each, 'connect');
    for (const socket of [client, reader, accepted]) {
      expect(socket).toBeInstanceOf(way.net.Socket);
      expect(socket).toBeInstanceOf(net.Socket);
      expect(Reflect.get(socket, '_handle').constructor.name).toBe(
        name === 'node:net itself' ? 'TCP' : 'RawTcpHandle',
      );
      socket.destroy();
    }
    server.close();
    await closed(server, client, reader);
    leave();
  },
);
