/** UTF-8 in fixed places of the wire. */

// By default it drops a byte order mark, and two ids would become one.
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of `bytes[start..end)`, or undefined when that is not UTF-8. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string | undefined {
  try {
    // A copy, because a TextDecoder takes no shared memory.
    return strict.decode(new Uint8Array(bytes.subarray(start, end)));
  } catch {
    return undefined;
  }
}

const encoder = new TextEncoder();

export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}
