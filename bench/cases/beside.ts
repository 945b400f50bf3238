import {
  cpusSetting,
  engineSetting,
  messageBytesSetting,
  secondsSetting,
  waitingSetting,
} from '../support/common-settings.js';
import { numbersAgree } from '../support/message-facts.js';
import type { Case, Metric } from '../support/types.js';

function microseconds(name: string, fact: string): Metric {
  return {
    name,
    unit: 'µs',
    better: 'lower',
    digits: 0,
    of: ({ run }) => Number(run[fact]),
  };
}

/** A ping-pong as in the case of that name. Meanwhile the client's process waits for timers of 1 ms, one after the other, with an `fs.stat` after each. */
export const beside: Case = {
  name: 'beside',
  program: 'exchange',
  question: 'How late are timers and the file system beside a ping-pong that spins?',
  settings: {
    ...messageBytesSetting,
    ...cpusSetting('2'),
    ...waitingSetting('spin'),
    ...secondsSetting,
    ...engineSetting,
  },
  constants: { beside: '1' },
  cpus: (settings) => Number(settings.cpus),
  memoryBytes: () => 0,
  inNodeAlone: true,
  metrics: [
    microseconds('fs.stat p99', 'statP99Microseconds'),
    microseconds('timer jitter p99', 'jitterP99Microseconds'),
    microseconds('fs.stat p50', 'statP50Microseconds'),
    microseconds('timer jitter p50', 'jitterP50Microseconds'),
    microseconds('ping-pong p50', 'p50Microseconds'),
  ],
  verify: (trial) => numbersAgree(trial, ['taken', 'answered']),
};
