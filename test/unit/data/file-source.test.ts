import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { appendFile, mkdir, truncate, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FileSource } from '../../../dist/data/file-source.js';
import { splitSource } from '../../../dist/data/splitter.js';
import { collect, env, failureOf, pattern, temporaryFolder } from './support.js';

const folder = await temporaryFolder();
const mebibyte = 1024 * 1024;
let files = 0;

async function newFile(bytes: number): Promise<string> {
  const path = join(folder, `file-${files++}`);
  await writeFile(path, pattern(bytes));
  return path;
}

/** Reads a file of 16 MiB and does `change` to it while the first shard is held. */
async function readWhile(change: (path: string) => Promise<unknown>): Promise<unknown> {
  const path = await newFile(16 * mebibyte);
  return await failureOf(async () => {
    for await (const piece of splitSource(env, new FileSource(path))) {
      if (piece.index === 0) await change(path);
      piece.release();
    }
  });
}

test('its size is known once it was looked at, and it can be read twice', async () => {
  const source = new FileSource(await newFile(3 * mebibyte + 7));
  expect(source.sizeBytes).toBeUndefined();
  expect(await source.measure(env)).toBe(3 * mebibyte + 7);
  expect(source.sizeBytes).toBe(3 * mebibyte + 7);
  for (let reading = 0; reading < 2; reading++) {
    const shards = await collect(splitSource(env, source));
    const content = Buffer.concat(shards.map((shard) => shard.content));
    expect(content.equals(pattern(3 * mebibyte + 7))).toBe(true);
  }
});

test('a file that is not there, or no file', async () => {
  const missing = await failureOf(
    collect(splitSource(env, new FileSource(join(folder, 'missing')))),
  );
  expect(missing).toMatchObject({ code: 'PAIPAI_ERR_SOURCE_FAILED', cause: { code: 'ENOENT' } });
  const path = join(folder, 'directory');
  await mkdir(path);
  const directory = await failureOf(collect(splitSource(env, new FileSource(path))));
  expect(directory).toMatchObject({ code: 'PAIPAI_ERR_SOURCE_FAILED' });
  // Opening a pipe would wait for a writer, past any deadline.
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  expect(await failureOf(collect(splitSource(env, new FileSource(pipe))))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_FAILED',
  });
});

test('a file that shrinks while it is read', async () => {
  expect(await readWhile((path) => truncate(path, mebibyte))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_CHANGED',
  });
});

test('a file that grows while it is read', async () => {
  expect(await readWhile((path) => appendFile(path, 'more'))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_CHANGED',
  });
});

test('a file that is written to while it is read', async () => {
  expect(await readWhile((path) => utimes(path, 1, 1))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_CHANGED',
  });
});

test('a file that vanishes while it is read', async () => {
  expect(await readWhile((path) => unlink(path))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_FAILED',
    cause: { code: 'ENOENT' },
  });
});

test('a file that changed between the look and the reading', async () => {
  const path = await newFile(100);
  const source = new FileSource(path);
  await source.measure(env);
  await appendFile(path, 'x');
  expect(await failureOf(source.measure(env))).toMatchObject({ code: 'PAIPAI_ERR_SOURCE_CHANGED' });
  expect(await failureOf(collect(splitSource(env, source)))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_CHANGED',
  });
});

test('the last block of a changed file is not handed out', async () => {
  const path = await newFile(16 * mebibyte);
  const offsets: number[] = [];
  await failureOf(async () => {
    for await (const piece of splitSource(env, new FileSource(path))) {
      offsets.push(piece.offset);
      await appendFile(path, 'x');
    }
  });
  expect(offsets.length).toBeLessThan(16);
});

test('the file is closed at the end, after a failure, and when the loop is left early', async () => {
  const path = await newFile(16 * mebibyte);
  const open = (): number => readdirSync('/dev/fd').length;
  const before = open();
  await collect(splitSource(env, new FileSource(path)));
  for await (const piece of splitSource(env, new FileSource(path))) {
    piece.release();
    break;
  }
  await readWhile((other) => truncate(other, 1));
  const controller = new AbortController();
  const aborted = failureOf(async () => {
    for await (const piece of splitSource(env, new FileSource(path), {
      signal: controller.signal,
    })) {
      piece.release();
      controller.abort();
    }
  });
  expect(await aborted).toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
  expect(open()).toBe(before);
});

test('reading takes a few buffers, however large the file is', async () => {
  const path = await newFile(64 * mebibyte);
  const buffers = new Set<ArrayBufferLike>();
  for await (const piece of splitSource(env, new FileSource(path))) {
    buffers.add(piece.content.buffer);
    piece.release();
  }
  expect(buffers.size).toBeLessThanOrEqual(8);
});
