import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test('examples/transport.mjs runs, and says what happened', () => {
  const example = fileURLToPath(new URL('../../../examples/transport.mjs', import.meta.url));
  expect(execFileSync(process.execPath, [example], { encoding: 'utf8' }).split('\n')).toEqual([
    'HELLO',
    'news a book has come',
    expect.stringMatching(/^(reader has seen the news|1048576 bytes of upload)$/) as string,
    expect.stringMatching(/^(reader has seen the news|1048576 bytes of upload)$/) as string,
    'over shm',
    '',
  ]);
});
