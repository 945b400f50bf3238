import { bytesAgree, receiverCpu, senderCpu, throughput } from '../support/byte-facts.js';
import { engineSetting, surfaceSetting } from '../support/common-settings.js';
import type { Case } from '../support/types.js';

/**
 * Large messages one way over one connection, every byte checked by a checksum that each message, or piece of one, carries. The
 * receiver keeps the last ones only, so what is measured is the way and not the memory. The clock stops with the last confirmation.
 */
export const bulk: Case = {
  name: 'bulk',
  program: 'bulk',
  question: 'How fast do large messages pass one way over one connection, every byte checked?',
  settings: {
    bytes: { fallback: String(2 ** 31), help: 'how much is sent, in whole messages' },
    'message-bytes': {
      fallback: String(2 ** 20),
      help: 'bytes of one message',
      step: 8,
    },
    'kept-messages': { fallback: '8', help: 'messages that each side has in memory' },
    ...surfaceSetting('fast'),
    ...engineSetting,
  },
  memoryBytes: () => 0,
  work: ({ run }) => ({ per: 'MiB', count: Number(run.bytes) / 2 ** 20 }),
  metrics: [throughput, senderCpu, receiverCpu],
  verify: (trial, settings) => bytesAgree(trial, Number(settings.bytes)),
};
