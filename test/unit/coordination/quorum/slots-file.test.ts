import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SlotsFile } from '../../../../dist/coordination/quorum/slots-file.js';
import { makeFolder } from '../../../support/folders.js';

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

async function contentOf(folder: string): Promise<Uint8Array | undefined> {
  const file = new SlotsFile(folder);
  const content = await file.read();
  await file.close();
  return content;
}

describe('a file of two slots', () => {
  test('has what was written last, of any size, also after it grew', async () => {
    const folder = join(makeFolder(), 'quorum');
    expect(await contentOf(folder)).toBeUndefined();
    for (const [at, length] of [0, 1, 4_072, 4_073, 100, 1_000_000, 7, 4_000_000].entries()) {
      const file = new SlotsFile(folder);
      await file.read();
      await file.write(bytes(length, at));
      await file.write(bytes(length, at + 1));
      await file.close();
      expect(await contentOf(folder)).toEqual(bytes(length, at + 1));
    }
  });

  test('a write that was cut at any byte leaves what was there before', async () => {
    const folder = join(makeFolder(), 'quorum');
    const path = join(folder, 'acceptor');
    const file = new SlotsFile(folder);
    await file.read();
    await file.write(bytes(100, 1));
    await file.write(bytes(100, 2));
    const before = readFileSync(path);
    await file.write(bytes(100, 3));
    await file.close();
    const after = readFileSync(path);
    for (let cut = 0; cut <= 124; cut++) {
      // The third write went where the first one was.
      const torn = Buffer.from(before);
      after.copy(torn, 0, 0, cut);
      writeFileSync(path, torn);
      expect((await contentOf(folder))?.[0]).toBe(cut === 124 ? 3 : 2);
    }
  });

  test.each<[string, (content: Buffer) => Buffer]>([
    ['both slots flipped', (content) => content.map((byte) => byte ^ 1) as Buffer],
    ['an empty file', () => Buffer.alloc(0)],
    ['half a file', (content) => content.subarray(0, 100)],
    ['a file that is far too long', () => Buffer.alloc(32 * 1024 * 1024)],
  ])('%s is found', async (_, harm) => {
    const folder = join(makeFolder(), 'quorum');
    const file = new SlotsFile(folder);
    await file.read();
    await file.write(bytes(10, 1));
    await file.close();
    const path = join(folder, 'acceptor');
    writeFileSync(path, harm(readFileSync(path)));
    await expect(contentOf(folder)).rejects.toMatchObject({ code: 'PAIPAI_ERR_STORE_FAILED' });
  });
});
