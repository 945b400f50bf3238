import { checkObject, checkString, invalidArgument } from '../../base/check.js';
import { PaipaiError } from '../../base/errors.js';

/** What a handler of messages learns about the one that it is given. */
export interface MessageContext {
  readonly topic: string;
  /** What the sender calls itself; a net has a name made for its run. */
  readonly from: string;
  readonly nodeId: string;
  /** Fires when the sender aborts, or its deadline passes. A handler that does not return soon after is ended. */
  readonly signal: AbortSignal;
}

/**
 * Takes a message. What it returns, or the promise of it, is the answer: what msgpack carries, of at most 1 MiB; `undefined` becomes null.
 * Messages are confirmed when it has returned. It runs on any of the worker threads of the node, and several messages at once: what it
 * keeps in variables of the module is seen by one of the threads alone.
 */
export type MessageFunction = (value: unknown, context: MessageContext) => unknown;

export type TopicTable = ReadonlyMap<string, MessageFunction>;

/** The export that has the handlers of messages, by topic. */
export const topicsExport = 'onMessage';
/** Longest topic, in bytes of UTF-8. */
export const topicBytesMax = 255;

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT when `exported` is no object of functions. */
export function topicsOf(exported: unknown): TopicTable {
  if (exported === undefined) return new Map();
  checkObject(topicsExport, exported, 'an object with a function for each topic');
  const topics = new Map<string, MessageFunction>();
  for (const [topic, handler] of Object.entries(exported)) {
    checkTopic(topic);
    if (typeof handler !== 'function') {
      throw invalidArgument(`${topicsExport}['${topic}']`, 'a function', handler);
    }
    topics.set(topic, handler as MessageFunction); // A function; what it returns is checked when it is encoded.
  }
  return topics;
}

/** @throws PaipaiError PAIPAI_ERR_INVALID_ARGUMENT. */
export function checkTopic(topic: unknown): string {
  return checkString('topic', topic, topicBytesMax);
}

export function topicUnknown(topic: string, topics: TopicTable): PaipaiError {
  const there = topics.size === 0 ? 'none' : [...topics.keys()].slice(0, 100).join(', ');
  return new PaipaiError(
    'PAIPAI_ERR_HANDLER_UNKNOWN',
    `no handler takes messages of the topic '${topic}'; ${topicsExport} of the module of handlers has: ${there}`,
    { handler: topic },
  );
}
