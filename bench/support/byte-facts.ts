import type { Metric, Trial } from './types.js';

/** What the cases of bytes have in common: their facts are `bytes` of a run, and bytes and checksum of what is stored. */

function gigabytes(trial: Trial): number {
  return Number(trial.run.bytes) / 1e9;
}

export const throughput: Metric = {
  name: 'throughput',
  unit: 'GB/s',
  better: 'higher',
  digits: 2,
  of: (trial) => gigabytes(trial) / Number(trial.run.seconds),
};

export const senderCpu: Metric = {
  name: 'sender CPU',
  unit: 's/GB',
  better: 'lower',
  digits: 2,
  of: (trial) => Number(trial.run.cpuSeconds) / gigabytes(trial),
};

export const receiverCpu: Metric = {
  name: 'receiver CPU',
  unit: 's/GB',
  better: 'lower',
  digits: 2,
  of: (trial) => trial.serverCpuSeconds / gigabytes(trial),
};

/** Null when `bytes` were confirmed and stored and both sides have the same, else what is wrong. */
export function bytesAgree({ run, verified }: Trial, bytes: number): string | null {
  if (run.bytes !== bytes) return `${run.bytes} bytes were confirmed instead of ${bytes}`;
  if (verified.storedBytes !== bytes)
    return `${verified.storedBytes} bytes are stored instead of ${bytes}`;
  if (verified.storedChecksum !== verified.sentChecksum) {
    return `the checksum of what is stored is ${verified.storedChecksum}, of what was sent ${verified.sentChecksum}`;
  }
  return null;
}
