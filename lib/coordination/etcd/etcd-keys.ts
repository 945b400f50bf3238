import { PaipaiError } from '../../base/errors.js';
import type { Json } from './etcd-http.js';

/** How keys, values and numbers look in the JSON of etcd: bytes in base 64, 64-bit integers as text, zeros and empty things left out. */

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

export function fromBase64(text: unknown): Uint8Array {
  return typeof text === 'string'
    ? Uint8Array.from(Buffer.from(text, 'base64'))
    : new Uint8Array(0);
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL when it is none that JavaScript can count with. */
export function toInteger(value: unknown): number {
  const number = value === undefined ? 0 : Number(value);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new PaipaiError('PAIPAI_ERR_PROTOCOL', `etcd answers with ${String(value)} for a number`);
}

/** The revision of the whole table at which something was answered. */
export function revisionOf(answer: Json): number {
  return toInteger((answer['header'] as Json | undefined)?.['revision']);
}

export function listOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

/** The first key behind all that begin with these bytes: UTF-8 has none of the highest value. */
export function behindPrefix(prefix: Uint8Array): Uint8Array {
  const end = Uint8Array.from(prefix);
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1;
  return end;
}
