import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BufferAssembler, OrderedAssembler } from '../../../dist/data/assembler.js';
import { BytesSource } from '../../../dist/data/memory-source.js';
import type { ShardPosition } from '../../../dist/data/shard-ledger.js';
import { splitSource } from '../../../dist/data/splitter.js';
import { crc32c } from '../../../dist/wire/crc32c.js';
import { collect, env, failureOf, type KeptShard, pattern } from './support.js';

const content = pattern(1000);

/** Shards of 100 bytes of `content`: 0 to 9. */
function shard(index: number, change: Partial<ShardPosition> = {}): [ShardPosition, Uint8Array] {
  const bytes = content.subarray(index * 100, index * 100 + 100);
  const position = { index, offset: index * 100, count: 10, totalBytes: 1000, ...change };
  return [position, bytes];
}

const all = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

describe('into one buffer', () => {
  test('shards in any order make the whole', () => {
    const assembler = new BufferAssembler(new Uint8Array(1000), { crc32c });
    for (const index of [3, 0, 9, 1, 2, 8, 7, 4, 6, 5]) {
      expect(assembler.complete).toBe(false);
      assembler.accept(...shard(index));
    }
    expect(assembler.complete).toBe(true);
    expect(Buffer.compare(assembler.finish(), content)).toBe(0);
  });

  test('property: split, shuffle, reassemble is the identity', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 2000 }),
        fc.integer({ min: 1, max: 300 }),
        fc.boolean(),
        fc.infiniteStream(fc.nat()),
        async (bytes, shardBytes, known, choices) => {
          const shards = await collect(splitSource(env, new BytesSource(bytes), { shardBytes }));
          const whole = { count: shards.length, totalBytes: bytes.byteLength };
          const unknown = { count: 0, totalBytes: 0 };
          const assembler = new BufferAssembler(new Uint8Array(bytes.byteLength), { crc32c });
          while (shards.length > 0) {
            const at = (choices.next().value ?? 0) % shards.length;
            const { index, offset, content: part, last } = shards.splice(at, 1)[0] as KeptShard;
            const extent = known || last ? whole : unknown;
            assembler.accept({ index, offset, ...extent, crc32c: crc32c(part) }, part);
          }
          expect(Buffer.compare(assembler.finish(), bytes)).toBe(0);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('the same shard twice changes nothing', () => {
    const assembler = new BufferAssembler(new Uint8Array(1000));
    for (const index of [...all, ...all]) assembler.accept(...shard(index));
    expect(Buffer.compare(assembler.finish(), content)).toBe(0);
  });

  test('a missing shard is named', async () => {
    const assembler = new BufferAssembler(new Uint8Array(1000), { dataId: 'd' });
    for (const index of [0, 1, 3]) assembler.accept(...shard(index));
    expect(await failureOf(() => assembler.finish())).toMatchObject({
      code: 'PAIPAI_ERR_SHARD_INCOMPLETE',
      shardIndex: 2,
      dataId: 'd',
    });
  });

  const refused: [string, string, () => [ShardPosition, Uint8Array]][] = [
    ['a checksum that is not the content', 'SHARD_CHECKSUM', () => shard(6, { crc32c: 1 })],
    ['the same shard with other content', 'SHARD_CHECKSUM', () => [shard(5)[0], shard(4)[1]]],
    ['the same shard from elsewhere', 'SHARD_HEADER', () => shard(5, { offset: 510 })],
    ['an overlap with the shard before', 'SHARD_INCOMPLETE', () => shard(6, { offset: 599 })],
    ['a gap behind the shard before', 'SHARD_INCOMPLETE', () => shard(6, { offset: 601 })],
    ['an overlap with the shard behind', 'SHARD_INCOMPLETE', () => shard(4, { offset: 401 })],
    [
      'a first shard that is not at the beginning',
      'SHARD_INCOMPLETE',
      () => shard(0, { offset: 1 }),
    ],
    ['a last shard that is not at the end', 'SHARD_HEADER', () => shard(9, { offset: 899 })],
    ['another count', 'SHARD_HEADER', () => shard(6, { count: 11 })],
    ['another total', 'SHARD_HEADER', () => shard(6, { totalBytes: 1001 })],
    ['a count without a total', 'SHARD_HEADER', () => shard(6, { totalBytes: 0 })],
    ['an index beyond the count', 'SHARD_HEADER', () => [shard(9, { index: 10 })[0], shard(9)[1]]],
    ['an index that is no number', 'SHARD_HEADER', () => shard(6, { index: NaN })],
    ['a negative offset', 'SHARD_HEADER', () => shard(6, { offset: -1 })],
    ['an offset beyond the end', 'SHARD_HEADER', () => shard(6, { offset: 950 })],
    ['a shard without a byte', 'SHARD_HEADER', () => [shard(6)[0], new Uint8Array(0)]],
  ];
  test.each(refused)('%s', async (_, code, make) => {
    const assembler = new BufferAssembler(new Uint8Array(1000), { crc32c });
    assembler.accept(...shard(5));
    expect(await failureOf(() => assembler.accept(...make()))).toMatchObject({
      code: `PAIPAI_ERR_${code}`,
    });
    for (const index of all) assembler.accept(...shard(index));
    expect(Buffer.compare(assembler.finish(), content)).toBe(0);
  });

  test('a count that comes late and is below what is here', async () => {
    const assembler = new BufferAssembler(new Uint8Array(1000));
    assembler.accept(...shard(7, { count: 0, totalBytes: 0 }));
    const position = { index: 3, offset: 300, count: 4, totalBytes: 1000 };
    expect(await failureOf(() => assembler.accept(position, content.subarray(300)))).toMatchObject({
      code: 'PAIPAI_ERR_SHARD_HEADER',
    });
  });

  test('a target that is too small, or of another size', async () => {
    const small = new BufferAssembler(new Uint8Array(550));
    const unknown = { count: 0, totalBytes: 0 };
    expect(await failureOf(() => small.accept(...shard(5, unknown)))).toMatchObject({
      code: 'PAIPAI_ERR_SHARD_HEADER',
    });
    const large = new BufferAssembler(new Uint8Array(1001));
    expect(await failureOf(() => large.accept(...shard(5)))).toMatchObject({
      code: 'PAIPAI_ERR_SHARD_HEADER',
    });
  });
});

describe('in order', () => {
  test('shards in any order come out in theirs', async () => {
    const assembler = new OrderedAssembler({ crc32c });
    for (const index of [3, 0, 9, 1, 2, 8, 7, 4, 6, 5]) await assembler.accept(...shard(index));
    const indexes: number[] = [];
    const parts: Uint8Array[] = [];
    for await (const { index, content: part } of assembler) {
      indexes.push(index);
      parts.push(part);
    }
    expect(indexes).toEqual(all);
    expect(Buffer.concat(parts).equals(content)).toBe(true);
    expect(assembler.heldBytes).toBe(0);
  });

  test('a duplicate, before and after it was handed out', async () => {
    const assembler = new OrderedAssembler({ crc32c });
    await assembler.accept(...shard(0));
    await assembler.accept(...shard(0));
    const shards = assembler[Symbol.asyncIterator]();
    expect(await shards.next()).toMatchObject({ value: { index: 0 } });
    await assembler.accept(...shard(0));
    expect(await failureOf(assembler.accept(shard(0)[0], shard(1)[1]))).toMatchObject({
      code: 'PAIPAI_ERR_SHARD_CHECKSUM',
    });
    for (const index of all) await assembler.accept(...shard(index));
    expect(await shards.next()).toMatchObject({ value: { index: 1 } });
  });

  test('a sender that is faster than the loop waits', async () => {
    const assembler = new OrderedAssembler({ heldBytesMax: 250 });
    await assembler.accept(...shard(0));
    await assembler.accept(...shard(1));
    let taken = false;
    const third = assembler.accept(...shard(2)).then(() => {
      taken = true;
    });
    await Promise.resolve();
    expect([taken, assembler.heldBytes]).toEqual([false, 200]);
    const shards = assembler[Symbol.asyncIterator]();
    await shards.next();
    await third;
    expect([taken, assembler.heldBytes]).toEqual([true, 200]);
  });

  test('shards too far ahead of a missing one are refused, and taken when it has come', async () => {
    const assembler = new OrderedAssembler({ heldBytesMax: 250 });
    await assembler.accept(...shard(1));
    await assembler.accept(...shard(2));
    expect(await failureOf(assembler.accept(...shard(3)))).toMatchObject({
      code: 'PAIPAI_ERR_BACK_PRESSURE',
    });
    await assembler.accept(...shard(0));
    const third = assembler.accept(...shard(3));
    const indexes: number[] = [];
    for await (const { index } of assembler) {
      indexes.push(index);
      if (index === 3) break;
    }
    await third;
    expect(indexes).toEqual([0, 1, 2, 3]);
  });

  test('many senders and a slow loop stay within the bound', async () => {
    const assembler = new OrderedAssembler({ heldBytesMax: 300 });
    const sending = Promise.all(all.map((index) => assembler.accept(...shard(index))));
    const indexes: number[] = [];
    for await (const { index } of assembler) {
      expect(assembler.heldBytes).toBeLessThanOrEqual(300);
      indexes.push(index);
    }
    await sending;
    expect(indexes).toEqual(all);
  });

  test('an end before the last shard', async () => {
    const assembler = new OrderedAssembler();
    await assembler.accept(...shard(0));
    assembler.end();
    const reading = async () => {
      for await (const _ of assembler);
    };
    expect(await failureOf(reading)).toMatchObject({
      code: 'PAIPAI_ERR_SHARD_INCOMPLETE',
      shardIndex: 1,
    });
  });

  test('a failure reaches the loop and those who wait', async () => {
    const assembler = new OrderedAssembler({ heldBytesMax: 100 });
    await assembler.accept(...shard(0));
    const waiting = failureOf(assembler.accept(...shard(1)));
    const error = new Error('the node is gone');
    assembler.fail(error);
    expect(await waiting).toBe(error);
    expect(await failureOf(assembler[Symbol.asyncIterator]().next())).toBe(error);
  });

  test('leaving the loop early tells those who wait', async () => {
    const assembler = new OrderedAssembler({ heldBytesMax: 100 });
    const sending = Promise.allSettled(all.map((index) => assembler.accept(...shard(index))));
    for await (const _ of assembler) break;
    const [first, ...others] = await sending;
    expect(first).toMatchObject({ status: 'fulfilled' });
    expect(others.at(-1)).toMatchObject({ reason: { code: 'PAIPAI_ERR_CLOSED' } });
    expect(await failureOf(assembler.accept(...shard(3)))).toMatchObject({
      code: 'PAIPAI_ERR_CLOSED',
    });
  });
});
