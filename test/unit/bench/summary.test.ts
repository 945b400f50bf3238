import { describe, expect, test } from 'vitest';
import { markdownTable } from '../../../dist/bench/support/markdown.js';
import { ratioOf, spreadOf, table } from '../../../dist/bench/support/summary.js';
import { totalCalls } from '../../../dist/bench/support/system-calls.js';
import type { Metric, Trial } from '../../../dist/bench/support/types.js';

const metric: Metric = {
  name: 'm',
  unit: 'k/s',
  better: 'higher',
  digits: 1,
  of: ({ run }) => Number(run['m']),
};

function trial(m: number): Trial {
  return { run: { m }, serverCpuSeconds: 0, serverUsage: { before: {}, after: {} }, verified: {} };
}

describe('spreadOf', () => {
  test.each([
    [[3], { median: 3, min: 3, max: 3 }],
    [[3, 1], { median: 2, min: 1, max: 3 }],
    [[10, 9, 100], { median: 10, min: 9, max: 100 }],
  ])('of %j', (values, spread) => {
    expect(spreadOf(values)).toEqual(spread);
  });

  test('refuses no values', () => {
    expect(() => spreadOf([])).toThrow(RangeError);
  });
});

test('ratioOf divides within each round, so a round in which all are slow does not count', () => {
  const ours = [trial(10), trial(1), trial(30)];
  const theirs = [trial(5), trial(0.5), trial(10)];
  expect(ratioOf(metric, ours, theirs)).toEqual({ median: 2, min: 2, max: 3 });
});

test('table aligns the first column left and the others right', () => {
  expect(
    table([
      ['', 'a'],
      ['long', '12'],
    ]),
  ).toBe('       a\nlong  12');
});

test('markdownTable has a head, a rule and rows, and no bar of a cell ends it', () => {
  expect(
    markdownTable([
      ['', 'a|b'],
      ['x', '1'],
    ]),
  ).toBe('|  | a\\|b |\n| :--- | ---: |\n| x | 1 |');
});

describe('totalCalls', () => {
  const head = '% time     seconds  usecs/call     calls    errors syscall\n';

  test('finds the calls of all kinds', () => {
    expect(
      totalCalls('strace', `${head}100.00    0.012345           3      4321           total\n`),
    ).toBe(4321);
  });

  test('is not misled by errors', () => {
    expect(
      totalCalls('strace', `${head}100.00    0.012345           3      4321        17 total\n`),
    ).toBe(4321);
  });

  test('knows nothing of a process that made no call', () => {
    expect(totalCalls('strace', '')).toBeUndefined();
  });

  test('reads what perf writes', () => {
    const summary = '# started on a day\n\n29,,raw_syscalls:sys_enter,728332,100.00,,\n';
    expect(totalCalls('perf', summary)).toBe(29);
    expect(totalCalls('perf', '<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n')).toBeUndefined();
  });
});
