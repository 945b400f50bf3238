import { checkBytes } from '../../base/check.js';
import { PaipaiError, toError } from '../../base/errors.js';
import { decodeValue, encodeValue } from '../../wire/values.js';
import type { CodecName } from './types.js';

/** Between what people pass and the bytes that travel. */
export interface Codec {
  encode(payload: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

const noBytes = new Uint8Array(0);

export const codecs: Record<CodecName, Codec> = {
  bytes: {
    encode: (payload) => (payload === undefined ? noBytes : checkBytes('payload', payload)),
    decode: (bytes) => bytes,
  },
  msgpack: { encode: encodeValue, decode: decodeValue },
};

/** What a handler returned; a failure is that of the side that serves, whatever the codec calls it. */
export function encodeAnswer(codec: Codec, answer: unknown): Uint8Array {
  try {
    return codec.encode(answer);
  } catch (cause) {
    throw new PaipaiError(
      'PAIPAI_ERR_REMOTE',
      `the answer cannot be sent: ${toError(cause).message}`,
      {
        cause,
      },
    );
  }
}
