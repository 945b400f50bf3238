import { fitConnections, openedConstants, openedSettings } from '../support/common-settings.js';
import { numbersAgree } from '../support/message-facts.js';
import type { Case, Metric, Trial } from '../support/types.js';

function each(name: string, seconds: (trial: Trial) => unknown): Metric {
  return {
    name,
    unit: 'µs each',
    better: 'lower',
    digits: 0,
    of: (trial) => (Number(seconds(trial)) * 1e6) / Number(trial.run.openedCount),
  };
}

/**
 * Connections opened one after the other, until each has carried a message there and back: who only queues them has not opened
 * them. A tenth is open before the clock starts, so that code has run.
 */
export const opening: Case = {
  name: 'opening',
  program: 'exchange',
  question: 'How long does a connection take to open?',
  settings: openedSettings(1_000),
  constants: openedConstants,
  fit: fitConnections,
  memoryBytes: () => 0,
  metrics: [
    each('opening', ({ run }) => run.seconds),
    each('client CPU', ({ run }) => run.cpuSeconds),
    each('server CPU', ({ serverCpuSeconds }) => serverCpuSeconds),
  ],
  verify: (trial) => numbersAgree(trial, ['taken', 'answered']),
};
