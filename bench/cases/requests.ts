import {
  engineSetting,
  messageBytesSetting,
  secondsSetting,
  surfaceSetting,
  waitingSetting,
} from '../support/common-settings.js';
import { clientCpu, numbersAgree, rate, serverCpu } from '../support/message-facts.js';
import type { Case } from '../support/types.js';

/** One connection that always has so many requests under way. What is one promise each for paipainet are bare frames for the others. */
export const requests: Case = {
  name: 'requests',
  program: 'exchange',
  question: 'How many requests get their answers over one connection, with many under way?',
  settings: {
    ...messageBytesSetting,
    'in-flight': { fallback: '128', help: 'requests under way' },
    ...waitingSetting('sleep'),
    ...secondsSetting,
    ...surfaceSetting('promises'),
    ...engineSetting,
  },
  memoryBytes: () => 0,
  metrics: [rate('requests'), clientCpu, serverCpu],
  verify: (trial) => numbersAgree(trial, ['taken', 'answered']),
};
