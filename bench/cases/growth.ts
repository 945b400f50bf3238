import type { Metric, Sweep, Trial } from '../support/types.js';
import { bulk } from './bulk.js';
import { connections } from './connections.js';
import { idle } from './idle.js';
import { opening } from './opening.js';
import { process } from './process.js';

function metricOf(metrics: readonly Metric[], name: string): (trial: Trial) => number {
  const metric = metrics.find((candidate) => candidate.name === name);
  if (metric === undefined) throw new Error(`no metric "${name}"`);
  return (trial) => metric.of(trial);
}

const cpuOfClient = metricOf(connections.metrics, 'client CPU');
const cpuOfServer = metricOf(connections.metrics, 'server CPU');

/** How costs grow with what is asked for: each a case, put again and again with another value of one setting. */
export const sweeps: readonly Sweep[] = [
  {
    name: 'bytes',
    question: 'What does a GB cost, from 1 MiB to 4 GiB?',
    chosen: bulk,
    setting: 'bytes',
    values: [2 ** 20, 2 ** 23, 2 ** 26, 2 ** 29, 2 ** 32],
    unit: 's/GB',
    digits: 2,
    cost: ({ run }) => (Number(run.seconds) * 1e9) / Number(run.bytes),
  },
  {
    name: 'messages',
    question: 'What CPU time of both sides does a request cost, from 1 connection to 1,000?',
    chosen: connections,
    setting: 'connections',
    values: [1, 10, 100, 1000],
    unit: 'µs',
    digits: 1,
    cost: (trial) => cpuOfClient(trial) + cpuOfServer(trial),
  },
  {
    name: 'opening',
    question: 'How long does a connection take to open, from 10 to 10,000?',
    chosen: opening,
    setting: 'connections',
    values: [10, 100, 1000, 10_000],
    unit: 'µs',
    digits: 0,
    cost: metricOf(opening.metrics, 'opening'),
  },
  {
    name: 'memory',
    question: 'What memory of the server does a connection take, from 100 to 10,000?',
    chosen: idle,
    setting: 'connections',
    values: [100, 1000, 10_000],
    unit: 'KiB',
    digits: 2,
    cost: metricOf(idle.metrics, 'server memory'),
  },
  {
    name: 'process',
    question: 'What does a GB of CSV cost to process, from 2 MiB to 256 MiB?',
    chosen: process,
    setting: 'bytes',
    values: [2 ** 21, 2 ** 26, 2 ** 28],
    unit: 's/GB',
    digits: 2,
    cost: ({ run }) => (Number(run.jobSeconds) * 1e9) / Number(run.bytes),
  },
];
