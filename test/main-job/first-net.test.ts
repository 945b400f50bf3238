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
