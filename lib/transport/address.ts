import { isIPv6 } from 'node:net';
import { describe } from '../base/check.js';
import { PaipaiError } from '../base/errors.js';

/** Where a peer listens: `tcp://host:port`, `tcp://[::1]:port` or `unix:///path`. */
export type Address =
  | { readonly scheme: 'tcp'; readonly host: string; readonly port: number }
  | { readonly scheme: 'unix'; readonly path: string };

export type TcpAddress = Extract<Address, { scheme: 'tcp' }>;

/** `sun_path` of unix(7) holds 108 bytes with the closing zero. */
const unixPathBytesMax = 107;

/** @throws PaipaiError PAIPAI_ERR_INVALID_ADDRESS, which says what is wrong with `text`. */
export function parseAddress(text: unknown): Address {
  const fail = (why: string): never => {
    throw new PaipaiError(
      'PAIPAI_ERR_INVALID_ADDRESS',
      `${typeof text === 'string' ? JSON.stringify(text) : describe(text)} is not an address: ${why}; write tcp://host:port or unix:///path`,
    );
  };
  if (typeof text !== 'string') return fail('it must be a string');
  if (text.length > 1024) return fail('it is longer than 1,024 characters');
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length);
    if (!path.startsWith('/')) return fail('the path must be absolute');
    if (path.includes('\0')) return fail('the path holds a zero byte');
    if (Buffer.byteLength(path) > unixPathBytesMax) {
      return fail(`the path is longer than ${unixPathBytesMax} bytes`);
    }
    return { scheme: 'unix', path };
  }
  if (!text.startsWith('tcp://')) return fail('the scheme must be tcp:// or unix://');
  const match = /^tcp:\/\/(?:\[([^\]]*)\]|([^:/[\]@?#]+)):(\d{1,5})\/?$/.exec(text);
  if (match === null) return fail('after tcp:// a host and a port are expected');
  const [, bracketed, plain, digits] = match;
  if (bracketed !== undefined && !isIPv6(bracketed))
    return fail('in brackets stands no IPv6 address');
  const host = bracketed ?? plain ?? '';
  if (/\s/.test(host)) return fail('the host holds white space');
  const port = Number(digits);
  if (port > 65_535) return fail('the port is above 65535');
  return { scheme: 'tcp', host, port };
}

export function formatAddress(address: Address): string {
  if (address.scheme === 'unix') return `unix://${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `tcp://${host}:${address.port}`;
}

/** Whether only this machine can reach the address. A host name counts as far, but for `localhost`. */
export function isLocalAddress(address: Address): boolean {
  if (address.scheme === 'unix') return true;
  const { host } = address;
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
