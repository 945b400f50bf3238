import { describe, expect, test } from 'vitest';
import {
  clip,
  formatBytes,
  formatCount,
  formatNumbers,
  formatTime,
  tableLines,
} from '../../../dist/cli/format.js';
import { bar, gauge, makeGlyphs, makePaint } from '../../../dist/cli/terminal.js';

describe('figures for people', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [64 * 1024, '64.0 KiB'],
    [1_048_575, '1.0 MiB'],
    [2_018_388, '1.9 MiB'],
    [4 * 2 ** 30, '4.0 GiB'],
  ])('%d bytes', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  test.each([
    [0, '0.00 ms'],
    [9.994, '9.99 ms'],
    [9.996, '10.0 ms'],
    [999.4, '999.4 ms'],
    [999.6, '1.00 s'],
    [59_994, '59.99 s'],
    [60_000, '1 min 00 s'],
    [245_000, '4 min 05 s'],
    [Number.NaN, '-'],
  ])('%d ms', (ms, text) => expect(formatTime(ms)).toBe(text));

  test('counts have their thousands apart', () => {
    expect([0, 999, 1000, 2_018_388].map(formatCount)).toEqual(['0', '999', '1,000', '2,018,388']);
  });

  test.each([
    [
      [42.123456789, 3, -0.5],
      ['42.123457', '3.000000', '-0.500000'],
    ],
    [
      [1.5, 10],
      ['1.5', '10.0'],
    ],
    [
      [1, 2],
      ['1', '2'],
    ],
    [
      [0, 1.5e-7, 1e300],
      ['0', '1.50000e-7', '1.00000e+300'],
    ],
    [[], []],
  ])('the numbers %j', (values, texts) => expect(formatNumbers(values)).toEqual(texts));

  test('texts of strangers are clipped and cannot steer the screen', () => {
    expect(clip('abcdef', 6, '…')).toBe('abcdef');
    expect(clip('abcdefg', 6, '…')).toBe('abcde…');
    expect(clip('a\x1b[31mb\nc', 20, '…')).toBe('a?[31mb?c');
  });
});

describe('tables', () => {
  test('line up, also where cells are coloured', () => {
    const lines = tableLines(
      [
        { title: 'node', align: 'left' },
        { title: 'bytes', align: 'right' },
      ],
      [
        ['\x1b[36m1\x1b[39m', '10'],
        ['long-name', '100000'],
      ],
    );
    expect(lines).toEqual([
      'node        bytes',
      '\x1b[36m1\x1b[39m              10',
      'long-name  100000',
    ]);
  });
});

describe('bars', () => {
  const plain = makeGlyphs({ LANG: 'C' });
  const rich = makeGlyphs({ LANG: 'C.UTF-8' });

  test('are as long as their share', () => {
    expect(bar(0.5, 8, plain)).toBe('####    ');
    expect(bar(1, 8, plain)).toBe('########');
    expect(bar(0, 8, plain)).toBe('        ');
    expect(bar(0.5, 1, rich)).toBe('▌');
  });

  test('show something for anything above 0, and never leave their width', () => {
    expect(bar(1e-9, 4, plain)).toBe('#   ');
    for (const share of [-1, 0, 0.3, 1, 7, Number.NaN]) {
      expect(bar(share, 10, rich)).toHaveLength(10);
      expect(gauge(share, 10, plain)).toHaveLength(10);
    }
    expect(gauge(0.5, 4, plain)).toBe('##..');
  });

  test('are ASCII where the locale is', () => {
    expect(makeGlyphs({}).cells).toEqual(['#']);
    expect(makeGlyphs({ LC_ALL: 'C', LANG: 'de_DE.UTF-8' }).cells).toEqual(['#']);
    expect(makeGlyphs({ LC_ALL: '', LANG: 'de_DE.utf8' }).cells).toHaveLength(8);
  });
});

describe('colours', () => {
  test('are for screens', () => {
    expect(makePaint({ isTTY: true }, {}).red('x')).toBe('\x1b[31mx\x1b[39m');
    expect(makePaint({ isTTY: false }, {}).red('x')).toBe('x');
    expect(makePaint({}, {}).red('x')).toBe('x');
  });

  test('are off with NO_COLOR and on a dumb terminal', () => {
    expect(makePaint({ isTTY: true }, { NO_COLOR: '1' }).red('x')).toBe('x');
    expect(makePaint({ isTTY: true }, { NO_COLOR: '' }).red('x')).toBe('\x1b[31mx\x1b[39m');
    expect(makePaint({ isTTY: true }, { TERM: 'dumb' }).red('x')).toBe('x');
  });
});
