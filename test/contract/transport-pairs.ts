import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, onTestFinished } from 'vitest';
import {
  type ConnectOptions,
  connect,
  type Listener,
  type ListenOptions,
  listen,
  type Peer,
} from '../../dist/api/transport.js';

export type EngineName = 'native' | 'js';

/** Who connects and who listens, and over what. */
export interface Setting {
  readonly connecting: EngineName;
  readonly listening: EngineName;
  readonly scheme: 'tcp' | 'unix';
  /** Whether they move to shared memory; else they are pinned to the socket. */
  readonly sharesMemory?: boolean;
}

function pinOf({ scheme, sharesMemory = false }: Setting): { path?: 'tcp' | 'unix' } {
  return sharesMemory ? {} : { path: scheme };
}

export const enginePairs: readonly (readonly [EngineName, EngineName])[] = [
  ['native', 'native'],
  ['native', 'js'],
  ['js', 'native'],
  ['js', 'js'],
];

const folder = mkdtempSync(join(tmpdir(), 'paipainet-transport-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let socketCount = 0;

/** A fresh place to listen. */
export function freshAddress(scheme: 'tcp' | 'unix'): string {
  return scheme === 'tcp' ? 'tcp://127.0.0.1:0' : `unix://${join(folder, `${++socketCount}.sock`)}`;
}

export interface TransportPair {
  listener: Listener;
  /** The side that connected. */
  near: Peer;
  far: Peer;
}

/** The end of the test closes it. */
export async function listening(setting: Setting, options: ListenOptions = {}): Promise<Listener> {
  const listener = await listen(freshAddress(setting.scheme), {
    engine: setting.listening,
    ...pinOf(setting),
    ...options,
  });
  onTestFinished(() => listener.close(0));
  return listener;
}

/** The end of the test destroys it. */
export async function connecting(
  setting: Setting,
  address: string,
  options: ConnectOptions = {},
): Promise<Peer> {
  const peer = await connect(address, {
    engine: setting.connecting,
    ...pinOf(setting),
    ...options,
  });
  onTestFinished(() => peer.destroy());
  return peer;
}

export async function transportPair(
  setting: Setting,
  { near = {}, far = {} }: { near?: ConnectOptions; far?: ListenOptions } = {},
): Promise<TransportPair> {
  const listener = await listening(setting, far);
  const arrival = nextPeer(listener);
  return { listener, near: await connecting(setting, listener.address, near), far: await arrival };
}

export function nextPeer(listener: Listener): Promise<Peer> {
  return new Promise((resolve) => listener.once('peer', resolve));
}

/** Bytes on their way between two sides, which a test can spoil. */
export interface Wire {
  /** Where to connect instead. */
  readonly address: string;
  /** Passes on `byteCount` more bytes towards the listener, then calls `then` with both sockets. */
  after(byteCount: number, then: (client: Socket, server: Socket) => void): void;
  readonly sockets: readonly [client: Socket, server: Socket];
}

/** A proxy in front of `target`; the test's end closes it. */
export async function wireTo(target: string): Promise<Wire> {
  const open = (): Socket => {
    if (target.startsWith('unix://'))
      return connectSocket({ path: target.slice(7), allowHalfOpen: true });
    const { hostname, port } = new URL(target);
    return connectSocket({ host: hostname, port: Number(port), allowHalfOpen: true });
  };
  let sockets: [Socket, Socket] | undefined;
  let leftBytes = Infinity;
  let onLimit: (client: Socket, server: Socket) => void = () => {};
  const proxy = createServer({ allowHalfOpen: true }, (client) => {
    const server = open();
    sockets = [client, server];
    // What goes wrong here is what the test does.
    for (const socket of sockets) socket.on('error', () => {});
    server.on('data', (bytes) => client.write(bytes));
    server.on('end', () => client.end());
    client.on('end', () => server.end());
    client.on('data', (bytes) => {
      const passed = bytes.subarray(0, leftBytes);
      leftBytes -= passed.length;
      if (passed.length > 0) server.write(passed);
      if (leftBytes === 0) onLimit(client, server);
    });
    onTestFinished(() => {
      client.destroy();
      server.destroy();
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void proxy.close());
  return {
    address: `tcp://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    after(byteCount, then) {
      leftBytes = byteCount;
      onLimit = then;
    },
    get sockets() {
      if (sockets === undefined) throw new Error('nobody has connected');
      return sockets;
    },
  };
}

/** The arguments of the next event of this name. */
export function once<T>(
  emitter: { once(event: string, listener: (...args: never[]) => void): unknown },
  event: string,
): Promise<T> {
  return new Promise((resolve) =>
    emitter.once(event, (...args: unknown[]) => resolve(args[0] as T)),
  );
}
