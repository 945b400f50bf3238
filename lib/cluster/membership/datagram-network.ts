import { isIPv4, isIPv6 } from 'node:net';
import type { NetworkEnv } from '../../transport/frame-channel.js';

/**
 * The seam between membership and the system's datagrams: unordered, unconfirmed, at most 65,507 bytes each. What cannot be sent is lost,
 * as on the way. Addresses are text, `10.0.0.5:7100` or `[::1]:7100`: an IP address, never a name, because they are used several
 * times a second.
 */
export interface DatagramNetwork {
  /**
   * Receives at `host`, an IP address or a name of this machine, and at `port`, where 0 is any.
   * Fails with the system's error: EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOTFOUND.
   */
  bind(host: string, port: number): Promise<DatagramSocket>;
}

export interface DatagramReceiver {
  /** The bytes are the receiver's to keep. `from` can be answered. */
  onDatagram(bytes: Uint8Array, from: string): void;
  /** The host at `address` has said that nobody listens there, to what `probe` sent. */
  onRefused(address: string): void;
}

export interface DatagramSocket {
  /** Where it receives; a wildcard address where that was asked for. */
  readonly endpoint: Endpoint;
  /** What arrives while there is none is lost. */
  receiver: DatagramReceiver | null;
  /** Takes `bytes` over. */
  send(address: string, bytes: Uint8Array): void;
  /** `send`, and `onRefused` when the port over there is closed. The answer may be sent to another port of this host than `endpoint`. */
  probe(address: string, bytes: Uint8Array): void;
  /** Idempotent; nothing is received after it. */
  close(): void;
}

export interface DatagramEnv extends NetworkEnv {
  readonly datagrams: DatagramNetwork;
}

export interface Endpoint {
  /** IPv4 or IPv6, without brackets. */
  readonly host: string;
  /** 0 to 65,535. */
  readonly port: number;
}

export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Undefined for text that is no such address; it may come from a peer. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) return undefined;
  if (plain !== undefined && isIPv4(plain)) return { host: plain, port };
  return bracketed !== undefined && isIPv6(bracketed) ? { host: bracketed, port } : undefined;
}
