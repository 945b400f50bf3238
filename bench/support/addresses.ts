import { once } from 'node:events';
import { type AddressInfo, createServer, type NetConnectOpts, type Server } from 'node:net';

/** Listens on a port of the loopback that the system chooses, or on `file`; resolves with the address. */
export async function listenOn(
  server: Server,
  path: string | undefined,
  file: string,
): Promise<string> {
  if (path === 'unix') server.listen({ path: file, backlog: 1024 });
  else server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 });
  await once(server, 'listening');
  if (path === 'unix') return `unix://${file}`;
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`; // Not a string: it is no pipe.
}

export function connectOptions(address: string): NetConnectOpts {
  if (address.startsWith('unix://')) return { path: address.slice('unix://'.length) };
  return { host: '127.0.0.1', port: Number(address.slice(address.lastIndexOf(':') + 1)) };
}

/** A port of the loopback that nobody listens on, for programs that have to be told one. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  const address = await listenOn(probe, 'tcp', '');
  await new Promise((resolve) => probe.close(resolve));
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
