import {
  engineSetting,
  messageBytesSetting,
  secondsSetting,
  surfaceSetting,
} from '../support/common-settings.js';
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
    ...messageBytesSetting,
    ...secondsSetting,
    ...surfaceSetting('fast'),
    ...engineSetting,
  },
  memoryBytes: () => 0,
  metrics: [rate('messages'), clientCpu, serverCpu],
  verify: (trial) => numbersAgree(trial, ['taken']),
};
