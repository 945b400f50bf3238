import { bytesAgree, receiverCpu, senderCpu, throughput } from '../support/byte-facts.js';
import { engineSetting } from '../support/common-settings.js';
import type { Case } from '../support/types.js';

/**
 * Data in the sender's memory, cut into shards, every byte checked by the receiver and kept in memory there, each shard
 * confirmed. The clock runs on the sender from the first byte to the last confirmation; connecting and making the data
 * come before it, the comparison of what was sent with what is stored comes after it.
 */
export const transfer: Case = {
  name: 'transfer',
  program: 'transfer',
  question:
    'How fast do data go from the memory of one process into that of another, checked and confirmed?',
  settings: {
    bytes: { fallback: String(2 ** 30), help: 'how much is transferred' },
    'shard-bytes': { fallback: String(2 ** 20), help: 'how much one confirmation covers' },
    ...engineSetting,
  },
  memoryBytes: (settings) => Number(settings.bytes),
  work: ({ run }) => ({ per: 'MiB', count: Number(run.bytes) / 2 ** 20 }),
  metrics: [throughput, senderCpu, receiverCpu],
  verify: (trial, settings) => bytesAgree(trial, Number(settings.bytes)),
};
