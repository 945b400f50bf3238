import { engineSetting } from '../support/engine.js';
import { clientCpu, numbersAgree, rate, serverCpu } from '../support/message-facts.js';
import type { Case } from '../support/types.js';

/**
 * One-way messages over one connection, as fast as the receiver takes them; the sender stops while too much waits. The clock
 * stops when the receiver has confirmed the last one.
 */
export const stream: Case = {
  name: 'stream',
  program: 'stream',
  question: 'How many messages pass one way over one connection?',
  settings: {
    'message-bytes': {
      fallback: '64',
      help: 'payload, a multiple of 4; 64 and 1024 are the usual ones',
    },
    seconds: { fallback: '2', help: 'how long is measured' },
    ...engineSetting,
  },
  memoryBytes: () => 0,
  metrics: [rate('messages'), clientCpu, serverCpu],
  verify: (trial) => numbersAgree(trial, ['taken']),
};
