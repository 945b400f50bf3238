import { expect, test } from 'vitest';
import { PaipaiError } from '../../../dist/base/errors.js';
import { showFailure } from '../../../dist/cli/failure.js';
import { makeGlyphs, makePaint } from '../../../dist/cli/terminal.js';

/** What stands on standard error. */
function shown(thrown: unknown, verbose: boolean): string[] {
  const lines: string[] = [];
  const terminal = {
    print() {},
    note: (line: string) => void lines.push(line),
    redraw() {},
    live: false,
    columns: 80,
    paint: makePaint({ isTTY: false }, {}),
    glyphs: makeGlyphs({}),
  };
  showFailure(thrown, terminal, verbose);
  return lines;
}

const evil = '\x1b]0;title\x07 \x9b2J \u202e';

test('a failure is shown line by line, with what stood behind it', () => {
  const error = new PaipaiError('PAIPAI_ERR_NODE_START', 'it did not start', {
    cause: new Error('first\nsecond'),
    stderr: 'one\r\n\ttwo\n',
  });
  expect(shown(error, false)).toEqual([
    'error PAIPAI_ERR_NODE_START: it did not start',
    '  because: first',
    'second',
    '  | one',
    '  |   two',
    expect.stringContaining('What to do: docs/ERRORS.md'),
  ]);
});

test.each([false, true])('nothing in a failure steers the terminal (verbose: %s)', (verbose) => {
  const foreign = Object.assign(new Error(`handler${evil}`), { code: evil });
  const ours = new PaipaiError('PAIPAI_ERR_HANDLER_FAILED', `it said ${evil}\nand ${evil}`, {
    cause: new Error(`cause ${evil}`),
    stderr: `${evil}\n${evil}`,
  });
  const lines = shown(new AggregateError([foreign, ours]), verbose);
  expect(lines.length).toBeGreaterThan(5);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not be there.
  for (const line of lines) expect(line).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/);
});
