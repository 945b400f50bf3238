import { PaipaiError } from '../../base/errors.js';
import { MessageFields } from '../../cluster/transfer/message-fields.js';
import { encodeValue } from '../../wire/values.js';
import { topicBytesMax } from './topics.js';

/** A request of a client; the answer is what the handler returned, as a value. */
export const messageMethod = 'node.message';

/** Of an encoded value, there and back. What is larger is data, and has `transfer`. */
export const messageBytesMax: number = 1024 * 1024;

export interface Message {
  readonly topic: string;
  /** Encoded. */
  readonly value: Uint8Array;
}

export interface MessageRequest extends Message {
  /** The name by which the sender knows the node; handlers see it. */
  readonly nodeId: string;
}

/** @throws PaipaiError PAIPAI_ERR_VALUE; PAIPAI_ERR_INVALID_ARGUMENT when it is too long. */
export function encodeMessageValue(value: unknown): Uint8Array {
  const bytes = encodeValue(value);
  if (bytes.byteLength <= messageBytesMax) return bytes;
  throw new PaipaiError(
    'PAIPAI_ERR_INVALID_ARGUMENT',
    `value must be at most ${messageBytesMax} bytes when encoded, but is ${bytes.byteLength}: transfer it as data`,
  );
}

export function encodeMessageRequest({ topic, value, nodeId }: MessageRequest): Uint8Array {
  return encodeValue({ topic, value, nodeId });
}

/** @throws PaipaiError PAIPAI_ERR_PROTOCOL, PAIPAI_ERR_VALUE. */
export function decodeMessageRequest(bytes: Uint8Array): MessageRequest {
  const fields = new MessageFields(messageMethod, bytes);
  return {
    topic: fields.string('topic', topicBytesMax),
    value: fields.bytes('value', messageBytesMax),
    nodeId: fields.string('nodeId', 255),
  };
}
