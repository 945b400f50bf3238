import { describe, expect, test } from 'vitest';
import { sweeps } from '../../../dist/bench/cases/growth.js';
import { cases } from '../../../dist/bench/cases/index.js';
import { readArguments, type Wish } from '../../../dist/bench/support/arguments.js';
import { Refusal } from '../../../dist/bench/support/refusal.js';

function read(...args: string[]): Wish {
  return readArguments(args, cases, sweeps);
}

describe('readArguments', () => {
  test('takes the name of a case, and everything else from defaults', () => {
    expect(read('requests')).toMatchObject({
      kind: 'case',
      chosen: { name: 'requests' },
      settings: { path: 'tcp', 'message-bytes': '64', 'in-flight': '128' },
      rivals: undefined,
      rounds: 3,
      isKept: false,
      file: undefined,
      counts: false,
    });
  });

  test('takes settings of the case and options of the runner, in any order', () => {
    const args = ['--path', 'unix', 'requests', '--in-flight', '7', '--vs', 'net,,c', '--rounds'];
    expect(read(...args, '5', '--json', '--out', 'x.json', '--counts')).toMatchObject({
      settings: { path: 'unix', 'in-flight': '7' },
      rivals: ['net', 'c'],
      rounds: 5,
      isKept: true,
      file: 'x.json',
      counts: true,
    });
  });

  test.each([
    [[], 'help'],
    [['--help'], 'help'],
    [['--list'], 'list'],
    [['requests', '--list'], 'list'],
  ])('%j asks for %s', (args, kind) => {
    expect(read(...args).kind).toBe(kind);
  });

  test('tells a program what nobody chooses', () => {
    expect(read('idle')).toMatchObject({ settings: { idle: '1', rest: '1' } });
  });

  test('every setting takes its own default', () => {
    for (const { name } of cases) expect(read(name).kind).toBe('case');
  });

  test('takes all curves, or those that are named', () => {
    expect(read('growth')).toMatchObject({ kind: 'growth', sweeps, path: 'tcp' });
    expect(read('growth', '--of', 'memory,bytes')).toMatchObject({
      sweeps: [{ name: 'memory' }, { name: 'bytes' }],
    });
  });

  test.each([
    ['a case that there is not', ['nothing'], 'there is no case "nothing"'],
    ['options without a case', ['--json'], 'the name of a case is missing; --list names them'],
    ['a setting of another case', ['stream', '--in-flight', '1'], '--in-flight'],
    ['no rounds', ['stream', '--rounds', '0'], '--rounds'],
    ['half a round', ['stream', '--rounds', '1.5'], '--rounds'],
    ['a path that there is not', ['stream', '--path', 'pipe'], '--path'],
    ['a curve that there is not', ['growth', '--of', 'hair'], '--of takes bytes'],
    ['a curve of a case', ['stream', '--of', 'bytes'], '--of goes with growth'],
    [
      'a word for a number',
      ['pingpong', '--message-bytes', 'x'],
      'a multiple of 4 from 4 to 65536',
    ],
    ['a number between', ['pingpong', '--message-bytes', '6'], 'not 6'],
    ['too little', ['opening', '--connections', '9'], 'a whole number from 10'],
    ['no time', ['stream', '--seconds', '0'], '--seconds takes a number above 0'],
    ['a word that there is not', ['pingpong', '--waiting', 'doze'], 'sleep or spin'],
    ['what nobody chooses', ['idle', '--rest', '1'], '--rest'],
  ])('refuses %s', (_what, args, message) => {
    expect(() => read(...args)).toThrow(Refusal);
    expect(() => read(...args)).toThrow(message);
  });
});
