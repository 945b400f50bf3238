import { secondsSetting } from '../support/common-settings.js';
import { type OperationName, operationNames } from '../support/coordination-operations.js';
import type { Case, Metric, Trial } from '../support/types.js';

/** Of one operation, as the program reports it. */
function figure(
  operation: OperationName,
  name: string,
  unit: string,
  better: Metric['better'],
  of: (fact: (name: string) => number, trial: Trial) => number,
): Metric {
  const fact =
    ({ run }: Trial) =>
    (each: string): number =>
      Number(run[operation + each]);
  return {
    name: `${operation} ${name}`,
    unit,
    better,
    digits: 2,
    of: (trial) => of(fact(trial), trial),
  };
}

function figuresOf(operation: OperationName): [Metric, ...Metric[]] {
  return [
    figure(operation, 'p50', 'ms', 'lower', (fact) => fact('P50Microseconds') / 1e3),
    figure(operation, 'p99', 'ms', 'lower', (fact) => fact('P99Microseconds') / 1e3),
    figure(operation, 'mean', 'ms', 'lower', (fact) => fact('MeanMicroseconds') / 1e3),
    {
      ...figure(operation, 'rate', '/s', 'higher', (fact) => fact('Count') / fact('Seconds')),
      digits: 0,
    },
    figure(
      operation,
      'CPU',
      'ms each',
      'lower',
      (fact) => (fact('CpuSeconds') * 1e3) / fact('Count'),
    ),
  ];
}

const [first, ...others] = operationNames;

/**
 * What a net agrees on, by each of its backends, asked by one client on the surface that every user has. It is in one process and the members in others, on loopback,
 * each with a folder of its own on one disk, and whatever is confirmed is synced. Members are started anew for each trial.
 * An operation of a lock is to acquire it and to release it, of an election to be elected and to resign; nobody else wants either.
 */
export const coordination: Case = {
  name: 'coordination',
  program: 'coordination',
  question: 'How long does it take to agree, on each of the backends?',
  settings: {
    'in-flight': {
      fallback: '1',
      help: 'operations at a time, each on a key or name of its own',
    },
    'value-bytes': {
      fallback: '64',
      help: 'of a value that is set, and of what a leader says of itself',
      least: 8,
      most: 65_536,
    },
    ...secondsSetting,
  },
  fit: ({ path: _, ...settings }) => settings,
  memoryBytes: () => 0,
  isClientAlone: true,
  inNodeAlone: true,
  work: ({ run }) => ({
    per: 'operation',
    count: operationNames.reduce((sum, name) => sum + Number(run[`${name}Count`]), 0),
  }),
  metrics: [...figuresOf(first), ...others.flatMap(figuresOf)],
  comparisons: [
    {
      ours: { peer: 'quorum', metric: 'compareAndSet p50' },
      theirs: { peer: 'etcd', metric: 'put p50' },
      most: 1,
    },
  ],
  notes: [
    'quorum and etcd: three members with a disk, of which two decide; etcd is asked at its leader, over its JSON gateway',
    'local: one member by design, with a disk, and two more nodes of the net that decide nothing',
  ],
  verify({ run, verified: { expected, found } }) {
    const idle = operationNames.find((name) => !(Number(run[`${name}Count`]) > 0));
    if (idle !== undefined) return `nothing was done of ${idle}`;
    return found === expected ? null : `the checksum of the table is ${found}, not ${expected}`;
  },
};
