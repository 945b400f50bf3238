import { createReadStream } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { splitSource } from '../../../dist/data/splitter.js';
import { StreamSource } from '../../../dist/data/stream-source.js';
import { chunksOf, collect, env, failureOf, pattern } from './support.js';

const content = pattern(10_000);

async function read(source: StreamSource): Promise<Buffer> {
  const shards = await collect(splitSource(env, source, { shardBytes: 777 }));
  return Buffer.concat(shards.map((shard) => shard.content));
}

test('a Node stream, a web stream and an async iterable give the same bytes', async () => {
  const sources = [
    new StreamSource(Readable.from(chunksOf(content, [500]))),
    new StreamSource(Readable.toWeb(Readable.from(chunksOf(content, [500])))),
    new StreamSource(new Blob([content]).stream()),
    new StreamSource(chunksOf(content, [1, 2000])),
  ];
  for (const source of sources) {
    expect(source.sizeBytes).toBeUndefined();
    expect((await read(source)).equals(content)).toBe(true);
    expect(source.sizeBytes).toBe(content.byteLength);
  }
});

test('chunks may be any view, or empty', async () => {
  const words = new Uint16Array([1, 2, 3]);
  async function* chunks() {
    yield new Uint8Array(0);
    yield words;
    yield words.buffer;
  }
  const bytes = Buffer.from(words.buffer);
  expect((await read(new StreamSource(chunks()))).equals(Buffer.concat([bytes, bytes]))).toBe(true);
});

test('the second reading is PAIPAI_ERR_SOURCE_CONSUMED, also after one that was left early', async () => {
  const source = new StreamSource(chunksOf(content, [500]));
  await read(source);
  expect(await failureOf(read(source))).toMatchObject({ code: 'PAIPAI_ERR_SOURCE_CONSUMED' });
  const left = new StreamSource(chunksOf(content, [500]));
  for await (const piece of splitSource(env, left, { shardBytes: 777 })) {
    piece.release();
    break;
  }
  expect(await failureOf(read(left))).toMatchObject({ code: 'PAIPAI_ERR_SOURCE_CONSUMED' });
});

test('a stream that fails, in the middle or before anyone reads', async () => {
  const cause = new Error('the disk is gone');
  async function* failing() {
    yield content;
    throw cause;
  }
  for (const stream of [
    failing(),
    Readable.from(failing()),
    Readable.toWeb(Readable.from(failing())),
  ]) {
    expect(await failureOf(read(new StreamSource(stream)))).toMatchObject({
      code: 'PAIPAI_ERR_SOURCE_FAILED',
      cause,
    });
  }
  const early = createReadStream('/nowhere/at/all');
  const source = new StreamSource(early);
  await new Promise<void>((resolve) => early.once('close', resolve));
  expect(await failureOf(read(source))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_FAILED',
    cause: { code: 'ENOENT' },
  });
});

test('a stream that is cut off before its end', async () => {
  const stream = new PassThrough();
  stream.write(content);
  const reading = failureOf(read(new StreamSource(stream)));
  stream.destroy();
  expect(await reading).toMatchObject({ code: 'PAIPAI_ERR_SOURCE_FAILED' });
});

test('chunks that are not bytes', async () => {
  const source = new StreamSource(Readable.from(['text', 'more']));
  expect(await failureOf(read(source))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_FAILED',
    cause: expect.any(TypeError),
  });
});

test('leaving early ends the stream, of each kind', async () => {
  const leave = async (source: StreamSource): Promise<void> => {
    for await (const piece of splitSource(env, source, { shardBytes: 100 })) {
      piece.release();
      break;
    }
  };
  const node = Readable.from(chunksOf(content, [500]));
  await leave(new StreamSource(node));
  expect(node.destroyed).toBe(true);
  let returned = 0;
  async function* chunks() {
    try {
      yield* chunksOf(content, [500]);
    } finally {
      returned++;
    }
  }
  await leave(new StreamSource(chunks()));
  expect(returned).toBe(1);
  let cancelled = 0;
  const web = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(500)),
    cancel: () => void cancelled++,
  });
  await leave(new StreamSource(web));
  expect(cancelled).toBe(1);
});

test('an abort ends the wait for a stream that gives nothing', async () => {
  const silent = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
  };
  const node = new PassThrough();
  for (const stream of [node, silent, new ReadableStream()]) {
    const controller = new AbortController();
    const pieces = splitSource(env, new StreamSource(stream), { signal: controller.signal });
    const waiting = failureOf(pieces.next());
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await waiting).toMatchObject({ code: 'PAIPAI_ERR_ABORTED', cause: reason });
  }
  expect(node.destroyed).toBe(true);
  const pieces = splitSource(env, new StreamSource(silent), { signal: AbortSignal.abort() });
  expect(await failureOf(pieces.next())).toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
});

test('a stream is read only as far as its pieces are asked for', async () => {
  let given = 0;
  async function* endless() {
    for (;;) {
      given += 1000;
      yield new Uint8Array(1000);
    }
  }
  let taken = 0;
  for await (const piece of splitSource(env, new StreamSource(endless()), { shardBytes: 4096 })) {
    taken += piece.bytes;
    expect(given - taken).toBeLessThanOrEqual(4096 + 1000);
    piece.release();
    if (taken > 1_000_000) break;
  }
});

test('a stream far larger than the buffers passes through a few of them', async () => {
  async function* chunks() {
    // Not filled, so that two gigabytes of them cost no time.
    for (let count = 0; count < 40_000; count++) yield Buffer.allocUnsafeSlow(48 * 1024);
  }
  const { signal } = new AbortController();
  const buffers = new Set<ArrayBufferLike>();
  let bytes = 0;
  let heldBytesMax = 0;
  for await (const piece of splitSource(env, new StreamSource(chunks()), { signal })) {
    buffers.add(piece.content.buffer);
    bytes += piece.bytes;
    if (piece.index % 16 === 0) {
      heldBytesMax = Math.max(heldBytesMax, process.memoryUsage().arrayBuffers);
    }
    piece.release();
  }
  expect(bytes).toBe(40_000 * 48 * 1024);
  expect(buffers.size).toBeLessThanOrEqual(4);
  expect(heldBytesMax).toBeLessThan(256 * 1024 * 1024);
});

test('an iterator that throws instead of rejecting', async () => {
  const cause = new Error('broken');
  const broken = {
    [Symbol.asyncIterator]: () => ({
      next() {
        throw cause;
      },
    }),
  };
  expect(await failureOf(read(new StreamSource(broken)))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_FAILED',
    cause,
  });
});
