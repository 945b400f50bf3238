import { engineSetting } from '../support/engine.js';
import { clientCpu, numbersAgree, rate, serverCpu } from '../support/message-facts.js';
import type { Case } from '../support/types.js';

/** One connection that always has so many requests under way. What is one promise each for paipainet are bare frames for the others. */
export const requests: Case = {
  name: 'requests',
  program: 'exchange',
  question: 'How many requests get their answers over one connection, with many under way?',
  settings: {
    'message-bytes': { fallback: '64', help: 'payload, a multiple of 4' },
    'in-flight': { fallback: '128', help: 'requests under way' },
    waiting: { fallback: 'sleep', help: 'sleep or spin; who cannot spin sleeps' },
    seconds: { fallback: '2', help: 'how long is measured' },
    surface: { fallback: 'promises', help: 'of paipainet: promises or fast' },
    ...engineSetting,
  },
  memoryBytes: () => 0,
  metrics: [rate('requests'), clientCpu, serverCpu],
  verify: (trial) => numbersAgree(trial, ['taken', 'answered']),
};
