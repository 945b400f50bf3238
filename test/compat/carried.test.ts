import net, { type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { closed, listening, once } from './support.js';
import { ways } from './ways.js';

/** That what is compared is not Node's own by mistake. */

test.each(Object.entries(ways))(
  '%s carries its connections, accepted ones too',
  async (name, way) => {
    const leave = way.enter();
    const server = way.net.createServer();
    await listening(server);
    const accepting = once(server, 'connection');
    const client = way.net.connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [accepted] = (await accepting) as [Socket];
    if (client.connecting) await once(client, 'connect');
    for (const socket of [client, accepted]) {
      expect(socket).toBeInstanceOf(way.net.Socket);
      expect(socket).toBeInstanceOf(net.Socket);
      expect(Reflect.get(socket, '_handle').constructor.name).toBe(
        name === 'node:net itself' ? 'TCP' : 'RawTcpHandle',
      );
      socket.destroy();
    }
    server.close();
    await closed(server, client, accepted);
    leave();
  },
);
