import { engineSetting } from '../support/engine.js';
import { canPin } from '../support/machine.js';
import { numbersAgree } from '../support/message-facts.js';
import type { Case } from '../support/types.js';

/**
 * One connection, one message there and the same one back, then the next. A sample is the time from one answer to the next,
 * so it holds the checks of both sides.
 */
export const pingpong: Case = {
  name: 'pingpong',
  program: 'exchange',
  question: 'How long does a small message take there and back, one at a time?',
  settings: {
    'message-bytes': { fallback: '64', help: 'payload, a multiple of 4' },
    cpus: { fallback: canPin ? '1' : '2', help: 'both sides on one CPU, or on two' },
    waiting: { fallback: 'sleep', help: 'sleep or spin; who cannot spin sleeps' },
    seconds: { fallback: '2', help: 'how long is measured' },
    surface: { fallback: 'fast', help: 'of paipainet: promises or fast' },
    ...engineSetting,
  },
  cpus: (settings) => Number(settings.cpus),
  memoryBytes: () => 0,
  metrics: [
    {
      name: 'p50',
      unit: 'µs',
      better: 'lower',
      digits: 1,
      of: (trial) => Number(trial.run.p50Microseconds),
    },
    {
      name: 'p99',
      unit: 'µs',
      better: 'lower',
      digits: 1,
      of: (trial) => Number(trial.run.p99Microseconds),
    },
  ],
  verify: (trial) => numbersAgree(trial, ['taken', 'answered']),
};
