import { PaipaiError } from '../base/errors.js';
import { decodeValue, encodeValue } from '../wire/values.js';

/**
 * A value part carries encoded values between workers, nodes and the client: msgpack `[[shard index, value bytes], …]`.
 * Nobody on the way decodes the values themselves. A merged value stands under the lowest index that went into it.
 */
export interface ValueEntry {
  readonly index: number;
  readonly bytes: Uint8Array;
}

export function encodePart(entries: readonly ValueEntry[]): Uint8Array {
  return encodeValue(entries.map(({ index, bytes }) => [index, bytes]));
}

function isPair(item: unknown): item is [number, Uint8Array] {
  return (
    Array.isArray(item) &&
    Number.isSafeInteger(item[0]) &&
    item[0] >= 0 &&
    item[1] instanceof Uint8Array
  );
}

/** @throws PaipaiError PAIPAI_ERR_VALUE when `part` is no value part. */
export function decodePart(part: Uint8Array): ValueEntry[] {
  const items = decodeValue(part);
  if (!Array.isArray(items)) throw new PaipaiError('PAIPAI_ERR_VALUE', 'a value part is no list');
  return items.map((item: unknown) => {
    if (!isPair(item))
      throw new PaipaiError('PAIPAI_ERR_VALUE', 'a value part holds a malformed entry');
    return { index: item[0], bytes: item[1] };
  });
}

/** The entries of all `parts`, by index. */
export function sortedEntries(parts: readonly Uint8Array[]): ValueEntry[] {
  return parts.flatMap(decodePart).sort((a, b) => a.index - b.index);
}
