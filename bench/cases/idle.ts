import { fitConnections, openedConstants, openedSettings } from '../support/common-settings.js';
import { numbersAgree } from '../support/message-facts.js';
import type { Case, Trial } from '../support/types.js';

function openedCount({ run }: Trial): number {
  return Number(run.openedCount);
}

/**
 * What a server's memory grows by, a connection: from when a tenth of the connections are open to when all are. Each has carried a
 * message; in Node garbage is collected before each look, the server rests until what was taken for the burst is given back, and V8's
 * room for young objects does not count. Nor do buffers of the kernel.
 */
export const idle: Case = {
  name: 'idle',
  program: 'exchange',
  question: 'How much memory of the server does a connection take that carries nothing?',
  settings: openedSettings(10_000),
  constants: { ...openedConstants, rest: '1' },
  fit: fitConnections,
  memoryBytes: () => 0,
  metrics: [
    {
      name: 'server memory',
      unit: 'KiB each',
      better: 'lower',
      digits: 2,
      of: (trial) => {
        const { before, after } = trial.serverUsage;
        const grown = Number(after.residentBytes) - Number(before.residentBytes);
        return grown / openedCount(trial) / 1024;
      },
    },
  ],
  verify: (trial) => numbersAgree(trial, ['taken', 'answered']),
};
