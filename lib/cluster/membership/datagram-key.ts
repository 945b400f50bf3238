import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { encodeText } from '../../wire/text.js';

/**
 * The envelope of a datagram. The tag keeps out rumours of strangers; it hides nothing, and a datagram that was overheard can be sent
 * again, which the incarnations and sequence numbers inside make harmless.
 *
 *  0       2         3      4               8                          24
 *  | magic | version | kind | net name hash | HMAC-SHA256, first 16 B  | body |
 *
 * The hash of the net name is there to tell a node of another net from one with a wrong secret; the HMAC is over
 * everything but itself.
 */
export const envelopeBytes = 24;
export const membershipVersion = 1;

const magic = [0x50, 0x6d] as const;
const tagAt = 8;

export type Opened =
  | { readonly kind: number; readonly body: Uint8Array }
  | { readonly ignored: 'malformed' | 'version' | 'netName' | 'key' };

export class DatagramKey {
  readonly #key: Uint8Array;
  /** 4 bytes that tell nets apart by name; no secret. */
  readonly netHash: Uint8Array;

  /** Without a secret (no bytes) the key follows from the name: that keeps out mistakes, not enemies. */
  constructor(netName: string, secret: Uint8Array) {
    const name = encodeText(netName);
    this.netHash = new Uint8Array(createHash('sha256').update(name).digest().subarray(0, 4));
    // A key of its own: no message of the handshake, which uses the secret as it is, can pass for a datagram.
    this.#key = createHmac('sha256', secret).update('membership\0').update(name).digest();
  }

  seal(kind: number, body: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(envelopeBytes + body.byteLength);
    bytes.set([...magic, membershipVersion, kind]);
    bytes.set(this.netHash, 4);
    bytes.set(body, envelopeBytes);
    bytes.set(this.#tagOf(bytes), tagAt);
    return bytes;
  }

  /** The body views `bytes`. Nothing in it has been looked at before the tag was found right. */
  open(bytes: Uint8Array): Opened {
    if (bytes.byteLength < envelopeBytes || bytes[0] !== magic[0] || bytes[1] !== magic[1]) {
      return { ignored: 'malformed' };
    }
    if (bytes[2] !== membershipVersion) return { ignored: 'version' };
    if (this.netHash.some((byte, at) => bytes[4 + at] !== byte)) return { ignored: 'netName' };
    if (!timingSafeEqual(bytes.subarray(tagAt, envelopeBytes), this.#tagOf(bytes))) {
      return { ignored: 'key' };
    }
    return { kind: bytes[3] ?? 0, body: bytes.subarray(envelopeBytes) };
  }

  #tagOf(bytes: Uint8Array): Uint8Array {
    const hmac = createHmac('sha256', this.#key).update(bytes.subarray(0, tagAt));
    return hmac
      .update(bytes.subarray(envelopeBytes))
      .digest()
      .subarray(0, envelopeBytes - tagAt);
  }
}
