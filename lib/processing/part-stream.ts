import { PaipaiError } from '../base/errors.js';
import type { PeerStream } from '../session/types.js';
import { shardsPerRequestMax } from './messages.js';

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

/** Bytes that several readers of parts may hold together. */
export class PartBudget {
  #leftBytes: number;

  constructor(bytesMax: number) {
    this.#leftBytes = bytesMax;
  }

  /** The share of one reader, empty at first. */
  hold(): PartHold {
    let heldBytes = 0;
    return {
      take: (bytes) => {
        if (bytes > this.#leftBytes) return false;
        this.#leftBytes -= bytes;
        heldBytes += bytes;
        return true;
      },
      release: () => {
        this.#leftBytes += heldBytes;
        heldBytes = 0;
      },
    };
  }
}

export interface PartHold {
  /** False, and nothing is taken, when the budget has no such room left. */
  take(bytes: number): boolean;
  /** Gives everything back; idempotent. */
  release(): void;
}

export interface PartLimits {
  readonly bytesMax?: number;
  readonly countMax?: number;
  /** Pays for the parts; the caller releases it when it is done with them. */
  readonly hold?: PartHold;
}

/** What a chunk costs beside its bytes, so that very many short ones are no way around a budget. */
const chunkCostBytes = 256;

/**
 * The parts up to the end of the other side.
 * @throws PaipaiError PAIPAI_ERR_HANDLER_RESULT above `bytesMax`; PAIPAI_ERR_OVERLOADED when `hold` cannot pay; PAIPAI_ERR_PROTOCOL
 * when there are more than `countMax`, one is empty, or the last one is cut short.
 */
export async function readParts(
  stream: PeerStream,
  { bytesMax = partsBytesMax, countMax = shardsPerRequestMax, hold }: PartLimits = {},
): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const refusal = (chunk: Uint8Array): PaipaiError | undefined => {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) {
      return new PaipaiError(
        'PAIPAI_ERR_HANDLER_RESULT',
        `the values are longer than the ${bytesMax} bytes that one answer may hold`,
      );
    }
    if (hold?.take(chunk.byteLength + chunkCostBytes) === false) {
      return new PaipaiError('PAIPAI_ERR_OVERLOADED', 'too many bytes of values are under way');
    }
    return undefined;
  };
  for await (const chunk of stream) {
    const error = refusal(chunk);
    if (error !== undefined) {
      stream.reset(error); // Before the loop gives the stream up, which would say less.
      throw error;
    }
    chunks.push(chunk);
  }
  const whole = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  return cutParts(whole, countMax);
}

function cutParts(whole: Uint8Array, countMax: number): Uint8Array[] {
  const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
  const parts: Uint8Array[] = [];
  let at = 0;
  while (at < whole.byteLength) {
    const left = whole.byteLength - at - lengthBytes;
    const partBytes = left < 0 ? Infinity : view.getUint32(at, true);
    if (partBytes > left) throw malformed('a value part is cut short');
    if (partBytes === 0) throw malformed('a value part is empty');
    if (parts.length === countMax) throw malformed(`there are more than ${countMax} value parts`);
    parts.push(whole.subarray(at + lengthBytes, at + lengthBytes + partBytes));
    at += lengthBytes + partBytes;
  }
  return parts;
}

function malformed(why: string): PaipaiError {
  return new PaipaiError('PAIPAI_ERR_PROTOCOL', why);
}
