import { cpusSetting, secondsSetting } from './common-settings.js';
import { clientCpu, rate } from './message-facts.js';
import type { Case } from './types.js';

/** A client of a database that asks for the next number, over and over. Only the client is moved over: the server is another's. */
export function roundTripCase(name: string, question: string): Case {
  return {
    name,
    program: name,
    question,
    settings: {
      'in-flight': { fallback: '1', help: 'how many round trips at a time, over one connection' },
      ...cpusSetting(),
      ...secondsSetting,
    },
    cpus: (settings) => Number(settings.cpus),
    memoryBytes: () => 0,
    metrics: [
      rate('round trips'),
      {
        name: 'p50',
        unit: 'µs',
        better: 'lower',
        digits: 1,
        of: ({ run }) => Number(run.p50Microseconds),
      },
      {
        name: 'p99',
        unit: 'µs',
        better: 'lower',
        digits: 1,
        of: ({ run }) => Number(run.p99Microseconds),
      },
      clientCpu,
    ],
    verify({ run, verified: { answeredCount, takenCount } }) {
      if (!(Number(run.count) > 0)) return 'nothing was done';
      if (answeredCount === takenCount) return null;
      return `${answeredCount} numbers came, the server has counted ${takenCount}`;
    },
  };
}
