import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const run = promisify(execFile);
const example = fileURLToPath(new URL('../../examples/first-net.mjs', import.meta.url));
const book = fileURLToPath(new URL('../../examples/book.txt', import.meta.url));

describe('examples/first-net.mjs', () => {
  test.each(['native', 'js'])('prints what is right, on the %s engine', async (engine) => {
    const { stdout, stderr } = await run(process.execPath, [example], {
      env: { ...process.env, PAIPAINET_ENGINE: engine },
    });
    const bytes = readFileSync(book);
    const words = bytes.toString().split(/\s+/).filter(Boolean).length;
    const perNode = [...stdout.matchAll(/^node (\d): (\d+) shards, (\d+) bytes$/gm)];
    expect(perNode.map(([, id]) => id)).toEqual(['1', '2']);
    expect(perNode.reduce((sum, [, , , own]) => sum + Number(own), 0)).toBe(bytes.byteLength);
    // CRC32C of 1,024 zero bytes.
    expect(stdout).toContain("digest: { bytes: 1024, shards: 1, checksum: 'eeaede7c' }");
    expect(stdout).toContain(`words: ${words}\n`);
    expect(stderr).toBe('');
  });
});

test('examples/bank.mjs moves money at the same time, and all of it is still there', async () => {
  const example = fileURLToPath(new URL('../../examples/bank.mjs', import.meta.url));
  const { stdout, stderr } = await run(process.execPath, [example]);
  expect(stdout).toMatch(/^\d+ moves, \d+ refused\nin all accounts: 1200\n$/);
  expect(stderr).toBe('');
});

test('examples/map-reduce.mjs prints the most frequent words', async () => {
  const example = fileURLToPath(new URL('../../examples/map-reduce.mjs', import.meta.url));
  const { stdout, stderr } = await run(process.execPath, [example]);
  const counts = new Map<string, number>();
  for (const [word] of readFileSync(book, 'utf8')
    .toLowerCase()
    .matchAll(/\p{L}+/gu)) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const [[, most] = ['', 0]] = [...counts].sort(([, a], [, b]) => b - a);
  const printed = [...stdout.matchAll(/^(\p{L}+): (\d+)$/gmu)];
  expect(printed).toHaveLength(5);
  for (const [, word = '', count] of printed) expect(counts.get(word)).toBe(Number(count));
  expect(Number(printed[0]?.[2])).toBe(most);
  expect(stdout).toContain(`${counts.size} words in `);
  expect(stderr).toBe('');
});
