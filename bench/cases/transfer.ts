import type { Case, Trial } from '../support/types.js';

function gigabytes(trial: Trial): number {
  return Number(trial.run.bytes) / 1e9;
}

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
    engine: { fallback: 'native', help: 'of paipainet: native or js' },
  },
  memoryBytes: (settings) => Number(settings.bytes),
  metrics: [
    {
      name: 'throughput',
      unit: 'GB/s',
      better: 'higher',
      digits: 2,
      of: (trial) => gigabytes(trial) / Number(trial.run.seconds),
    },
    {
      name: 'sender CPU',
      unit: 's/GB',
      better: 'lower',
      digits: 2,
      of: (trial) => Number(trial.run.cpuSeconds) / gigabytes(trial),
    },
    {
      name: 'receiver CPU',
      unit: 's/GB',
      better: 'lower',
      digits: 2,
      of: (trial) => trial.serverCpuSeconds / gigabytes(trial),
    },
  ],
  verify({ run, verified }, settings) {
    const bytes = Number(settings.bytes);
    if (run.bytes !== bytes) return `${run.bytes} bytes were confirmed instead of ${bytes}`;
    if (verified.storedBytes !== bytes)
      return `${verified.storedBytes} bytes are stored instead of ${bytes}`;
    if (verified.storedChecksum !== verified.sentChecksum) {
      return `the checksum of what is stored is ${verified.storedChecksum}, of what was sent ${verified.sentChecksum}`;
    }
    return null;
  },
};
