import { once } from 'node:events';
import * as nodeNet from 'node:net';
import { connectOptions } from './addresses.js';
import type { Settings } from './types.js';

/** Who makes the sockets of a program that stands on them. */
export interface Sockets {
  readonly createServer: typeof nodeNet.createServer;
  /**
   * A connection that sends small writes at once and hands each read to `onBytes`, in the cheapest way that there is: what it gets may be
   * overwritten as soon as it returns. `readBytes`: how much one read takes at most, where that can be chosen.
   */
  connect(address: string, onBytes: (bytes: Buffer) => void, readBytes?: number): nodeNet.Socket;
}

/** Every connection reads into it, since what it holds is used up before the next read. */
const readBuffer: Buffer = Buffer.allocUnsafeSlow(64 * 1024);

const dropInUrl: URL = new URL('../../drop-in/net.js', import.meta.url);

/** Node's own, or with the setting `sockets` `drop-in` those of this package. */
export async function socketsOf({ sockets }: Settings): Promise<Sockets> {
  const net = sockets === 'drop-in' ? await import(dropInUrl.href) : nodeNet;
  const { createServer, connect } = net as typeof nodeNet;
  return {
    createServer,
    // Into one buffer, without one of their own and an event for each read.
    connect(address, onBytes, readBytes = readBuffer.length) {
      const buffer =
        readBytes === readBuffer.length ? readBuffer : Buffer.allocUnsafeSlow(readBytes);
      const onread = {
        buffer,
        callback(count: number): boolean {
          onBytes(buffer.subarray(0, count));
          return true;
        },
      };
      return connect({ ...connectOptions(address), noDelay: true, onread });
    },
  };
}

/** Resolves with the socket once its connection stands. */
export async function connected(socket: nodeNet.Socket): Promise<nodeNet.Socket> {
  await once(socket, 'connect');
  return socket;
}
