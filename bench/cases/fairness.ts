import { engineSetting, messageBytesSetting, surfaceSetting } from '../support/common-settings.js';
import { numbersAgree } from '../support/message-facts.js';
import type { Case, Metric } from '../support/types.js';

function microseconds(name: string, fact: string): Metric {
  return { name, unit: 'µs', better: 'lower', digits: 0, of: ({ run }) => Number(run[fact]) };
}

/**
 * Small requests one at a time, first alone, then beside streams of bytes on the same connection, one after the other. The figure is
 * how many times longer the slow ones take then.
 */
export const fairness: Case = {
  name: 'fairness',
  program: 'fairness',
  question: 'How much longer does a small request take beside large streams on its connection?',
  settings: {
    ...messageBytesSetting,
    'stream-bytes': { fallback: String(2 ** 30), help: 'bytes of a stream' },
    reading: {
      fallback: 'into',
      help: 'into: the stream lands in memory; iterate: chunk by chunk',
      choices: ['into', 'iterate'],
    },
    seconds: {
      fallback: '1',
      help: 'how long the requests are alone, and how long beside streams',
      step: 0,
    },
    ...surfaceSetting('fast'),
    ...engineSetting,
  },
  memoryBytes: () => 0,
  metrics: [
    {
      name: 'p99 beside ÷ alone',
      unit: 'times',
      better: 'lower',
      digits: 2,
      of: ({ run }) => Number(run.besideP99Microseconds) / Number(run.aloneP99Microseconds),
    },
    microseconds('p99 alone', 'aloneP99Microseconds'),
    microseconds('p99 beside', 'besideP99Microseconds'),
    microseconds('p50 alone', 'aloneP50Microseconds'),
    microseconds('p50 beside', 'besideP50Microseconds'),
    {
      name: 'stream',
      unit: 'GB/s',
      better: 'higher',
      digits: 2,
      of: ({ run }) => Number(run.streamBytes) / Number(run.streamSeconds) / 1e9,
    },
  ],
  verify(trial, settings) {
    const came = Number(trial.verified.streamedBytes);
    if (came !== Number(settings['stream-bytes'])) return `${came} bytes of the stream came`;
    if (trial.verified.streamedCrc32c !== trial.verified.sentCrc32c) return 'other bytes came';
    return numbersAgree(trial, ['taken', 'answered']);
  },
};
