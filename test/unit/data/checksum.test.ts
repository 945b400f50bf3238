import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  combineCrc32c,
  formatCrc32c,
  mergeChecksums,
  type PartialChecksum,
  partialChecksum,
  sha256Of,
} from '../../../dist/data/checksum.js';
import { BytesSource, ZeroSource } from '../../../dist/data/memory-source.js';
import { StreamSource } from '../../../dist/data/stream-source.js';
import { crc32c } from '../../../dist/wire/crc32c.js';
import { chunksOf, env, failureOf, pattern } from './support.js';

test('two checksums combine to that of the whole', () => {
  const digits = Buffer.from('123456789');
  const combined = combineCrc32c(crc32c(digits.subarray(0, 4)), crc32c(digits.subarray(4)), 5);
  expect(combined).toBe(0xe306_9283);
  expect(combineCrc32c(combined, crc32c(digits.subarray(9)), 0)).toBe(combined);
});

test('lengths beyond 32 bits: a terabyte of zeros, put together by doubling', () => {
  let crc = crc32c(new Uint8Array(1024));
  for (let bytes = 1024; bytes < 2 ** 40; bytes *= 2) crc = combineCrc32c(crc, crc, bytes);
  const half = 2 ** 39 + 12_345;
  // The same terabyte from two unequal halves, each from single bits of its length.
  const zeros = (bytes: number): number => {
    let sum = 0;
    let block = crc32c(new Uint8Array(1));
    for (let rest = bytes, size = 1; rest > 0; rest = Math.floor(rest / 2), size *= 2) {
      if (rest % 2 === 1) sum = combineCrc32c(sum, block, size);
      block = combineCrc32c(block, block, size);
    }
    return sum;
  };
  const rest = 2 ** 40 - half;
  expect(combineCrc32c(zeros(half), zeros(rest), rest)).toBe(crc);
});

test('property: parts merge in any order and any grouping', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
      fc.infiniteStream(fc.nat()),
      (content, sizes, choices) => {
        const parts: PartialChecksum[] = [];
        for (let offset = 0, turn = 0; offset < content.byteLength; turn++) {
          const part = content.subarray(offset, offset + (sizes[turn % sizes.length] ?? 1));
          parts.push(partialChecksum(offset, part.byteLength, crc32c(part)));
          offset += part.byteLength;
        }
        const draw = () => parts.splice((choices.next().value ?? 0) % parts.length, 1)[0]!;
        while (parts.length > 1) parts.push(mergeChecksums(draw(), draw()));
        expect(parts).toEqual([{ end: content.byteLength, crc32c: crc32c(content) }]);
      },
    ),
  );
});

test('eight digits, always', () => {
  expect(formatCrc32c(0xe306_9283)).toBe('e3069283');
  expect(formatCrc32c(1)).toBe('00000001');
});

test('SHA-256 of the whole, whatever it comes from', async () => {
  const content = pattern(3_000_000);
  const expected = createHash('sha256').update(content).digest('hex');
  expect(await sha256Of(env, new BytesSource(content))).toBe(expected);
  const stream = new StreamSource(chunksOf(content, [100_000]));
  expect(await sha256Of(env, stream)).toBe(expected);
  expect(await failureOf(sha256Of(env, stream))).toMatchObject({
    code: 'PAIPAI_ERR_SOURCE_CONSUMED',
  });
  expect(await sha256Of(env, new ZeroSource(2_500_000))).toBe(
    createHash('sha256').update(new Uint8Array(2_500_000)).digest('hex'),
  );
});
