// What Node's flags on families of addresses say, and who is tried then.

import { once } from 'node:events';

const { default: net } = await import(process.argv[2]);
const log = [net.getDefaultAutoSelectFamily(), net.getDefaultAutoSelectFamilyAttemptTimeout()];
const server = net.createServer((socket) => socket.end());
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
const addresses = [
  { address: '127.0.0.9', family: 4 },
  { address: '127.0.0.1', family: 4 },
];
const lookup = (_host, { all }, answer) =>
  all ? answer(null, addresses) : answer(null, addresses[0].address, 4);
const socket = net.connect({ port, host: 'some.name', lookup });
socket.on('error', ({ code }) => log.push(code));
socket.on('connect', () => log.push('connected'));
socket.resume();
await new Promise((resolve) => socket.once('close', resolve));
server.close();
console.log(JSON.stringify(log));
