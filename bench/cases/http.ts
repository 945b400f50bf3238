import { secondsSetting } from '../support/common-settings.js';
import type { Case, Trial } from '../support/types.js';

/** wrk counts answers and their bytes; one of them is looked at before and after. */
function wrong({ run, verified }: Trial, connections: number): string | null {
  if (!(Number(run.count) > 0)) return 'nothing was done';
  if (run.errors !== 0) return `${run.errors} requests failed`;
  if (verified.answerBody !== verified.body) return 'the body is not what was to be sent';
  const answers = Number(run.bytes) / Number(verified.answerBytes);
  // Beside those that it counts there may be one under way on each connection.
  const isWhole = answers >= Number(run.count) && answers <= Number(run.count) + connections;
  return isWhole ? null : `${run.bytes} bytes are not ${run.count} answers`;
}

/** An app on node:http that knows nothing of us; in the peer `drop-in` it is moved over. */
export const http: Case = {
  name: 'http',
  program: 'http',
  question: 'How many requests does node:http answer, as it is and moved over?',
  settings: {
    connections: { fallback: '64', help: 'of wrk, with one request under way on each' },
    'body-bytes': { fallback: '12', help: 'of an answer' },
    ...secondsSetting,
  },
  memoryBytes: () => 0,
  metrics: [
    {
      name: 'requests',
      unit: 'k/s',
      better: 'higher',
      digits: 1,
      of: ({ run }) => (Number(run.count) * 1e3) / Number(run.loadMicroseconds),
    },
    {
      name: 'p50',
      unit: 'µs',
      better: 'lower',
      digits: 0,
      of: ({ run }) => Number(run.p50Microseconds),
    },
    {
      name: 'p99',
      unit: 'µs',
      better: 'lower',
      digits: 0,
      of: ({ run }) => Number(run.p99Microseconds),
    },
  ],
  verify: (trial, settings) => wrong(trial, Number(settings.connections)),
};
