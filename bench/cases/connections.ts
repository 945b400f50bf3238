import {
  engineSetting,
  messageBytesSetting,
  secondsSetting,
  surfaceSetting,
} from '../support/common-settings.js';
import { clientCpu, numbersAgree, rate, serverCpu } from '../support/message-facts.js';
import type { Case } from '../support/types.js';

/** Many connections, each with one request under way. */
export const connections: Case = {
  name: 'connections',
  program: 'exchange',
  question:
    'How many requests get their answers over many connections, with one under way on each?',
  settings: {
    ...messageBytesSetting,
    connections: { fallback: '64', help: 'how many; 64 and 1000 are the usual ones' },
    ...secondsSetting,
    ...surfaceSetting('fast'),
    ...engineSetting,
  },
  memoryBytes: () => 0,
  metrics: [rate('requests'), clientCpu, serverCpu],
  verify: (trial) => numbersAgree(trial, ['taken', 'answered']),
};
