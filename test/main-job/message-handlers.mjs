import { appendFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';

/** Handlers of messages for tests; each says in its name what it does. */
export const onMessage = {
  echo: (value) => value,
  nothing() {},
  context: (_value, { topic, from, nodeId, signal }) => ({
    topic,
    from,
    nodeId,
    aborted: signal.aborted,
  }),
  'is.on.a.worker': () => threadId > 0,
  /** A line in a file, with the node and the message. */
  note({ file, what }, { nodeId }) {
    appendFileSync(file, `${nodeId} ${what}\n`);
    return nodeId;
  },
  /** The same, and on one node it comes to no end. */
  async noteAndHang({ file, what, hangsOn }, { nodeId, signal }) {
    appendFileSync(file, `${nodeId} ${what}\n`);
    if (nodeId === hangsOn) {
      await new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      );
    }
    return nodeId;
  },
  /** Says in a file when its sender gives it up. */
  async noteAbort({ file }, { nodeId, signal }) {
    appendFileSync(file, `${nodeId} begun\n`);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    appendFileSync(file, `${nodeId} aborted\n`);
  },
  /** Takes `ms`, and ten times that on node 1. */
  async dawdles(ms, { nodeId }) {
    await new Promise((resolve) => setTimeout(resolve, nodeId === '1' ? 10 * ms : ms));
    return nodeId;
  },
  hangs: (_value, { signal }) =>
    new Promise((resolve) => signal.addEventListener('abort', resolve)),
  endless() {
    for (;;);
  },
  throws() {
    throw new RangeError('no such thing');
  },
  answersAFunction: () => () => {},
  answersTooMuch: () => 'x'.repeat(1024 * 1024),
};

export { byteSum, length } from './handlers.mjs';
