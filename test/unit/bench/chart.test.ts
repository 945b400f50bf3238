import { describe, expect, test } from 'vitest';
import { barChart, lineChart } from '../../../dist/bench/support/chart.js';
import type { Spread } from '../../../dist/bench/support/summary.js';

function spread(median: number, min: number = median, max: number = median): Spread {
  return { median, min, max };
}

function bars(...spreads: Spread[]): string {
  const named = spreads.map((each, i) => ({ label: `peer ${i}`, spread: each }));
  return barChart({ title: 'speed, k/s', digits: 1, bars: named });
}

function widths(svg: string): number[] {
  return [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map((match) => Number(match[1]));
}

describe('barChart', () => {
  test('has a bar for each peer, as long as its median', () => {
    const [first = 0, second = 0] = widths(bars(spread(10), spread(20)));
    expect(first).toBeGreaterThan(0);
    expect(second / first).toBeCloseTo(2, 1);
  });

  test('says names and medians', () => {
    expect(bars(spread(12.34))).toMatch(/>peer 0<.*>12\.3</s);
  });

  test.each([
    ['20 times', [spread(1), spread(20)], false],
    ['21 times', [spread(1), spread(21)], true],
    ['no value above 0', [spread(0), spread(21)], false],
  ])('with %s between least and most', (_what, spreads, isLogarithmic) => {
    expect(bars(...spreads).includes('logarithmic')).toBe(isLogarithmic);
  });

  test('stays within its frame', () => {
    const svg = bars(spread(5, 1, 1000), spread(0.001));
    const xs = [...svg.matchAll(/ x[12]?="(-?[\d.]+)"/g)].map((match) => Number(match[1]));
    expect(Math.min(...xs)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...xs)).toBeLessThanOrEqual(720);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  test('escapes what a page would take for its own', () => {
    expect(barChart({ title: 'a < b & c', digits: 0, bars: [] })).toContain('a &lt; b &amp; c');
  });

  test('has colours for a dark page', () => {
    expect(bars(spread(1))).toContain('@media (prefers-color-scheme: dark)');
  });
});

describe('lineChart', () => {
  const points = [1, 10, 100].map((x) => ({ x, spread: spread(x * 2, x, x * 3) }));

  test('goes from left to right through every point', () => {
    const svg = lineChart({ title: 't', xLabel: 'bytes', lines: [{ label: 'ours', points }] });
    const path = /<polyline points="([^"]+)"/.exec(svg)?.[1] ?? '';
    const xs = path.split(' ').map((point) => Number(point.split(',')[0]));
    expect(xs).toHaveLength(3);
    expect([...xs].sort((a, b) => a - b)).toEqual(xs);
    expect(svg).toMatch(/>ours<.*|>bytes</s);
  });

  test('draws a single point', () => {
    const lines = [{ label: 'ours', points: points.slice(0, 1) }];
    expect(lineChart({ title: 't', xLabel: 'bytes', lines })).not.toMatch(/NaN|Infinity/);
  });

  test('draws nothing', () => {
    expect(lineChart({ title: 't', xLabel: 'x', lines: [] })).not.toMatch(/NaN/);
  });
});
