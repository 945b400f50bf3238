import {
  cpusSetting,
  engineSetting,
  messageBytesSetting,
  secondsSetting,
  surfaceSetting,
  waitingSetting,
} from '../support/common-settings.js';
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
    ...messageBytesSetting,
    ...cpusSetting(),
    ...waitingSetting('sleep'),
    ...secondsSetting,
    ...surfaceSetting('fast'),
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
