import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Env } from '../../../dist/base/env.js';
import type { ShardCut, ShardPiece } from '../../../dist/data/shard.js';
import { createRealEnv } from '../../../dist/node/real-env.js';

export const env: Env = createRealEnv();

/** Bytes that tell positions apart: no two windows of 4 bytes within 16 MiB are equal by mistake. */
export function pattern(bytes: number, seed = 1): Uint8Array {
  const content = new Uint8Array(bytes);
  let state = seed >>> 0;
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    content[at] = state >>> 24;
  }
  return content;
}

/** A folder that is removed after the tests of the file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'paipainet-data-'));
  afterAll(() => rm(folder, { recursive: true }));
  return folder;
}

export interface KeptShard extends ShardCut {
  content: Uint8Array;
  last: boolean;
}

/** Every piece with a copy of its content; each is released at once, so memory that is used again too early shows. */
export async function collect(pieces: AsyncIterable<ShardPiece>): Promise<KeptShard[]> {
  const kept: KeptShard[] = [];
  for await (const { index, offset, bytes, content, last, release } of pieces) {
    kept.push({ index, offset, bytes, content: Uint8Array.from(content), last });
    release();
    release();
  }
  return kept;
}

export function cutsOf(shards: readonly ShardCut[]): ShardCut[] {
  return shards.map(({ index, offset, bytes }) => ({ index, offset, bytes }));
}

export async function* chunksOf(
  content: Uint8Array,
  sizes: readonly number[],
): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < content.byteLength; turn++) {
    const bytes = sizes[turn % sizes.length] ?? 1;
    yield content.slice(at, at + bytes);
    at += bytes;
  }
}

export async function failureOf(work: Promise<unknown> | (() => unknown)): Promise<unknown> {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (thrown) {
    return thrown;
  }
  throw new Error('It did not fail.');
}
