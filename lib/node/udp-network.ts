import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isIPv6, SocketAddress } from 'node:net';
import { debuglog } from 'node:util';
import {
  type DatagramNetwork,
  type DatagramReceiver,
  type DatagramSocket,
  type Endpoint,
  formatEndpoint,
  parseEndpoint,
} from '../cluster/membership/datagram-network.js';

/**
 * Sockets for probes at most, each for one member; the one that was used longest ago makes room. One probe of our own is under way at a
 * time, and those that others asked for; the rest is there so that a net of a few dozen makes no socket anew for each probe.
 */
const probeSocketsMax = 32;
/** Datagrams that wait while the socket of a probe is made, which takes a few turns of the loop. */
const waitingMax = 8;

const log = debuglog('paipainet');

/**
 * Datagrams of the system, over `node:dgram`. None of its sockets keeps the process alive.
 *
 * A refusal (ICMP port unreachable) is told by the kernel to a connected socket alone, so a probe goes through a socket that is connected
 * to its member; `docs/decisions/refused-probes.md` says why not otherwise. Everything else goes through the one that is bound.
 */
export class UdpNetwork implements DatagramNetwork {
  async bind(host: string, port: number): Promise<DatagramSocket> {
    const { address, family } = await lookup(host);
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    socket.unref();
    // Exclusive: the workers of node:cluster would share one socket otherwise.
    socket.bind({ address, port, exclusive: true });
    try {
      await once(socket, 'listening');
    } catch (thrown) {
      socket.close();
      throw thrown;
    }
    return new UdpSocket(socket);
  }
}

class UdpSocket implements DatagramSocket {
  readonly endpoint: Endpoint;
  receiver: DatagramReceiver | null = null;
  readonly #socket: Socket;
  readonly #isIPv6: boolean;
  /** By the address of the member; the one that was used longest ago first. */
  readonly #probes = new Map<string, ProbeSocket>();
  #isOpen = true;

  constructor(socket: Socket) {
    this.#socket = socket;
    const { address, port, family } = socket.address();
    this.endpoint = { host: address, port };
    this.#isIPv6 = family === 'IPv6';
    socket.on('message', (bytes, from) => this.#onMessage(bytes, from));
    socket.on('error', (error) => log('the datagram socket: %s', error.message));
  }

  send(address: string, bytes: Uint8Array): void {
    const target = parseEndpoint(address);
    if (target === undefined || !this.#isOpen) return;
    const { host, port } = target;
    // A socket for IPv6 reaches IPv4 as a part of it, if it does at all.
    const ownHost = this.#isIPv6 && !isIPv6(host) ? `::ffff:${host}` : host;
    this.#socket.send(bytes, port, ownHost, (error) => {
      if (error !== null) log('a datagram to %s is lost: %s', address, error.message);
    });
  }

  probe(address: string, bytes: Uint8Array): void {
    const target = parseEndpoint(address);
    if (target === undefined || !this.#isOpen) return;
    const socket = this.#probes.get(address) ?? this.#open(address, target);
    this.#probes.delete(address);
    this.#probes.set(address, socket);
    socket.send(bytes);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.receiver = null;
    this.#socket.close();
    for (const probe of this.#probes.values()) probe.close();
    this.#probes.clear();
  }

  #open(address: string, target: Endpoint): ProbeSocket {
    const [oldest] = this.#probes.keys();
    if (oldest !== undefined && this.#probes.size >= probeSocketsMax) this.#drop(oldest);
    // From the address that the member knows us by; which one the system would choose is for its routes to say.
    const { host } = this.endpoint;
    const source = isIPv6(host) === isIPv6(target.host) && !isWildcard(host) ? host : undefined;
    return new ProbeSocket(target, source, {
      onMessage: (bytes, from) => this.#onMessage(bytes, from),
      onRefused: () => this.receiver?.onRefused(address),
      // The next probe gets a new one.
      onBroken: (error) => {
        log('the datagram socket to %s: %s', address, error.message);
        this.#drop(address);
      },
    });
  }

  #drop(address: string): void {
    this.#probes.get(address)?.close();
    this.#probes.delete(address);
  }

  #onMessage(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    const host = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
    this.receiver?.onDatagram(bytes, formatEndpoint({ host, port }));
  }
}

interface ProbeOwner {
  onMessage(bytes: Uint8Array, from: RemoteInfo): void;
  onRefused(): void;
  onBroken(error: Error): void;
}

/** A socket that is connected to one address, at a port of its own. */
class ProbeSocket {
  readonly #socket: Socket;
  readonly #owner: ProbeOwner;
  #isConnected = false;
  #isOpen = true;
  #waiting: Uint8Array[] = [];

  constructor({ host, port }: Endpoint, source: string | undefined, owner: ProbeOwner) {
    this.#owner = owner;
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    this.#socket = socket;
    socket.unref();
    socket.on('message', (bytes, from) => owner.onMessage(bytes, from));
    socket.on('error', (error) => this.#onError(error));
    socket.once('listening', () => socket.connect(port, host));
    socket.once('connect', () => this.#onConnect());
    socket.bind({ port: 0, exclusive: true, ...(source === undefined ? {} : { address: source }) });
  }

  send(bytes: Uint8Array): void {
    if (!this.#isOpen) return;
    if (this.#isConnected) {
      // The kernel tells of a refusal once: to whoever looks first, and that may be the next one who sends.
      this.#socket.send(bytes, (error) => error !== null && this.#onError(error));
    } else if (this.#waiting.length < waitingMax) {
      this.#waiting.push(bytes);
    }
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#socket.close();
  }

  #onConnect(): void {
    if (!this.#isOpen) return;
    this.#isConnected = true;
    for (const bytes of this.#waiting.splice(0)) this.send(bytes);
  }

  #onError(error: Error): void {
    if (!this.#isOpen) return;
    // Node's errors carry `code`; nothing in the type of Error says so.
    const { code } = error as { code?: unknown };
    // Windows says it in its own way.
    if (code === 'ECONNREFUSED' || code === 'ECONNRESET') this.#owner.onRefused();
    else this.#owner.onBroken(error);
  }
}

/** Not an address to reach anybody at: all of this host. */
export function isWildcard(host: string): boolean {
  if (!isIPv6(host)) return host === '0.0.0.0';
  const { address } = new SocketAddress({ address: host, family: 'ipv6' });
  return address === '::' || address === '::ffff:0.0.0.0';
}
