import type { Metric, Trial } from './types.js';

/** What the cases of messages have in common: their facts are `count` of a run, and counts and checksums of each side. */

/** Thousands of messages or requests in a second. */
export function rate(what: string): Metric {
  return {
    name: what,
    unit: 'k/s',
    better: 'higher',
    digits: 1,
    of: ({ run }) => Number(run.count) / Number(run.seconds) / 1e3,
  };
}

export const clientCpu: Metric = {
  name: 'client CPU',
  unit: 'µs each',
  better: 'lower',
  digits: 2,
  of: ({ run }) => (Number(run.cpuSeconds) * 1e6) / Number(run.count),
};

export const serverCpu: Metric = {
  name: 'server CPU',
  unit: 'µs each',
  better: 'lower',
  digits: 2,
  of: ({ run, serverCpuSeconds }) => (serverCpuSeconds * 1e6) / Number(run.count),
};

/**
 * Compares what was `sent` with what each of `sides` has seen, by count and by checksum of the contents: `taken` is the
 * server's, `answered` the client's. Null, or what differs.
 */
export function numbersAgree(
  { run, verified }: Trial,
  sides: readonly ('taken' | 'answered')[],
): string | null {
  if (!(Number(run.count) > 0)) return 'nothing was done';
  const { sentCount, sentChecksum } = verified;
  for (const side of sides) {
    const count = verified[`${side}Count`];
    const checksum = verified[`${side}Checksum`];
    if (count === undefined || count !== sentCount) {
      return `${sentCount} messages were sent, ${count} were ${side}`;
    }
    if (checksum === undefined || checksum !== sentChecksum) {
      return `the checksum of what was ${side} is ${checksum}, of what was sent ${sentChecksum}`;
    }
  }
  return null;
}
