import { once } from 'node:events';
import { type AddressInfo, connect, type NetConnectOpts, type Server, type Socket } from 'node:net';

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

/** Every connection reads into it: what it holds is used up before the next read. */
const readBuffer: Buffer = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * A connection to `address` that sends small writes at once and hands each read to `onBytes`, without a buffer and an event
 * for each; resolves when it stands.
 */
export async function connectTo(
  address: string,
  onBytes: (bytes: Uint8Array) => void,
): Promise<Socket> {
  const onread = {
    buffer: readBuffer,
    callback(count: number): boolean {
      onBytes(readBuffer.subarray(0, count));
      return true;
    },
  };
  const socket = connect({ ...connectOptions(address), noDelay: true, onread });
  await once(socket, 'connect');
  return socket;
}
