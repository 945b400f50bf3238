import type { Case, Metric } from '../support/types.js';

function milliseconds(name: string, ...facts: string[]): Metric {
  return {
    name,
    unit: 'ms',
    better: 'lower',
    digits: 0,
    of: ({ run }) => facts.reduce((sum, fact) => sum + Number(run[fact]) * 1e3, 0),
  };
}

/**
 * A CSV table in the memory of one process: its rows are parsed, counted and summed up by a column by as many workers as the machine has
 * processors, and the parts are merged. Whoever works is started, has its code and waits; the clock runs from the bytes of the table to
 * the merged groups. The first job is not counted among the others, since all code is compiled during it: it is a figure of its own, as is a
 * cold start with the first job.
 */
export const process: Case = {
  name: 'process',
  program: 'process',
  question: 'How fast is a CSV table processed, from bytes in memory to the merged result?',
  settings: {
    bytes: { fallback: String(2 ** 26), help: 'of the table, as near as its rows come' },
    jobs: { fallback: '5', help: 'how often, after the first one' },
  },
  fit: ({ path: _, ...settings }) => settings,
  memoryBytes: (settings) => 2 * Number(settings.bytes),
  isClientAlone: true,
  inNodeAlone: true,
  work: ({ run }, settings) => ({
    per: 'MiB',
    count: (Number(run.bytes) / 2 ** 20) * (1 + Number(settings.jobs)),
  }),
  metrics: [
    {
      name: 'throughput',
      unit: 'MB/s',
      better: 'higher',
      digits: 0,
      of: ({ run }) => Number(run.bytes) / Number(run.jobSeconds) / 1e6,
    },
    {
      name: 'CPU',
      unit: 's/GB',
      better: 'lower',
      digits: 2,
      of: ({ run }) => (Number(run.jobCpuSeconds) * 1e9) / Number(run.bytes),
    },
    milliseconds('first job', 'firstSeconds'),
    milliseconds('start and first job', 'startSeconds', 'firstSeconds'),
  ],
  verify({ verified: { expected, found } }) {
    return found === expected ? null : `the checksum of the groups is ${found}, not ${expected}`;
  },
};
