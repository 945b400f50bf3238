// Registers, connects, undoes it and connects again; prints who carried each connection.

import { once } from 'node:events';
import net from 'node:net';

const { connect } = net.Socket.prototype;
const { unregister } = await import('paipainet/register');
const server = net.createServer((socket) => socket.pipe(socket));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();

const first = net.connect(port, '127.0.0.1');
await once(first, 'connect');
const during = first._handle.constructor.name;
unregister();
const second = net.connect(port, '127.0.0.1');
await once(second, 'connect');
const after = second._handle.constructor.name;
first.write('still here');
const [echoed] = await once(first, 'data');
const restored = net.Socket.prototype.connect === connect;
first.destroy();
second.destroy();
server.close();
console.log(JSON.stringify({ during, after, echoed: String(echoed), restored }));
