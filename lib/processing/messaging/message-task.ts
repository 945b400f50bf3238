import { PaipaiError, toError } from '../../base/errors.js';
import { decodeValue, encodeValue } from '../../wire/values.js';
import { handlerFailed } from '../handler-failures.js';
import type { MessageTask, MessageTaskResult } from '../worker-messages.js';
import { messageBytesMax } from './message.js';
import { type TopicTable, topicUnknown } from './topics.js';

/** Has the handler of its topic take a message, in a worker. */
export async function runMessageTask(
  task: MessageTask,
  topics: TopicTable,
  signal: AbortSignal,
): Promise<MessageTaskResult> {
  const { handler: topic, from, nodeId } = task;
  const take = topics.get(topic);
  if (take === undefined) throw topicUnknown(topic, topics);
  const value = decodeValue(task.value);
  let answer: unknown;
  try {
    answer = await take(value, { topic, from, nodeId, signal });
  } catch (thrown) {
    throw handlerFailed(topic, thrown, `a message from ${from}`);
  }
  return { answer: encodeAnswer(topic, answer) };
}

function encodeAnswer(topic: string, answer: unknown): Uint8Array<ArrayBuffer> {
  let why: string;
  try {
    const bytes = encodeValue(answer ?? null);
    // Cut to its own memory, which then moves to the other thread instead of being copied.
    if (bytes.byteLength <= messageBytesMax) return bytes.slice();
    why = `it has ${bytes.byteLength} bytes, and an answer at most ${messageBytesMax}`;
  } catch (thrown) {
    why = toError(thrown).message;
  }
  throw new PaipaiError(
    'PAIPAI_ERR_HANDLER_RESULT',
    `what handler '${topic}' answered to a message cannot be sent: ${why}`,
    { handler: topic },
  );
}
