import { expect, test } from 'vitest';
import { childExecArguments } from '../../../dist/node/exec-arguments.js';

test('how modules load and what is allowed goes on to child processes', () => {
  const kept = [
    '--no-addons',
    '--import',
    './hook.mjs',
    '--require=./hook.cjs',
    '-C',
    'development',
    '--max-old-space-size=100',
    '--permission',
    '--allow-worker',
    '--allow-fs-read=*',
    '--allow-fs-write',
    '/tmp',
  ];
  expect(childExecArguments(kept)).toEqual(kept);
});

test('what to run, and what claims a port or a file, does not', () => {
  expect(
    childExecArguments([
      '--inspect-brk=9229',
      '-e',
      'main()',
      '--test',
      '--cpu-prof',
      '--expose-gc',
      '--no-addons',
    ]),
  ).toEqual(['--no-addons']);
});

test('a flag that misses its value stays as it is', () => {
  expect(childExecArguments(['--import'])).toEqual(['--import']);
  expect(childExecArguments([])).toEqual([]);
});
