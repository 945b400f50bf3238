import { PaipaiError } from '../base/errors.js';
import type { PeerStream } from '../session/types.js';

/** Value parts on a stream: each as its length, u32 little-endian, and its bytes. */

/** Bytes of values that one answer, or one request to merge, may hold. */
export const partsBytesMax: number = 256 * 1024 * 1024;

const lengthBytes = 4;

export async function writePart(stream: PeerStream, part: Uint8Array): Promise<void> {
  const framed = new Uint8Array(lengthBytes + part.byteLength);
  new DataView(framed.buffer).setUint32(0, part.byteLength, true);
  framed.set(part, lengthBytes);
  await stream.write(framed);
}

/**
 * The parts up to the end of the other side.
 * @throws PaipaiError PAIPAI_ERR_HANDLER_RESULT above `bytesMax`, PAIPAI_ERR_PROTOCOL when the last part is cut short.
 */
export async function readParts(
  stream: PeerStream,
  bytesMax: number = partsBytesMax,
): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) {
      const error = new PaipaiError(
        'PAIPAI_ERR_HANDLER_RESULT',
        `the values are longer than the ${bytesMax} bytes that one answer may hold`,
      );
      stream.reset(error);
      throw error;
    }
    chunks.push(chunk);
  }
  const whole = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  return cutParts(whole);
}

function cutParts(whole: Uint8Array): Uint8Array[] {
  const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
  const parts: Uint8Array[] = [];
  let at = 0;
  while (at < whole.byteLength) {
    const left = whole.byteLength - at - lengthBytes;
    const partBytes = left < 0 ? Infinity : view.getUint32(at, true);
    if (partBytes > left) throw new PaipaiError('PAIPAI_ERR_PROTOCOL', 'a value part is cut short');
    parts.push(whole.subarray(at + lengthBytes, at + lengthBytes + partBytes));
    at += lengthBytes + partBytes;
  }
  return parts;
}
