import { toUSVString } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EntryReader } from '../../../../dist/processing/map-reduce/entry-reader.js';
import { EntryWriter } from '../../../../dist/processing/map-reduce/entry-writer.js';
import { SegmentReader } from '../../../../dist/processing/map-reduce/segment-reader.js';
import { encodeValue } from '../../../../dist/wire/values.js';

/** What the writer writes, the reader reads, however the bytes are cut. */

type Entry = [key: string, values: unknown[]];

function written(entries: readonly Entry[]): Uint8Array {
  const writer = new EntryWriter();
  for (const [key, values] of entries) writer.entry(key, values);
  return writer.view();
}

/** As segments that end at these places. */
function readerOf(bytes: Uint8Array, cuts: readonly number[] = []): EntryReader {
  const ends = [...cuts.map((cut) => cut % (bytes.byteLength + 1)), bytes.byteLength];
  ends.sort((a, b) => a - b);
  const segments = ends.map((end, at) => {
    const shared = new Uint8Array(new SharedArrayBuffer(end - (ends[at - 1] ?? 0)));
    shared.set(bytes.subarray(end - shared.byteLength, end));
    return { byteLength: shared.byteLength, at: shared };
  });
  return new EntryReader(new SegmentReader(undefined, segments, 16));
}

function read(reader: EntryReader): Entry[] {
  const entries: Entry[] = [];
  while (reader.next()) {
    const { key } = reader;
    const values: unknown[] = [];
    while (reader.valuesLeft > 0) values.push(reader.value());
    entries.push([key, values]);
  }
  return entries;
}

const text = fc
  .string({ unit: 'binary', maxLength: 80 })
  .filter((each) => toUSVString(each) === each);
const value = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.constantFrom(0, -0, 127, 128, -128, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, NaN, Infinity),
  text,
  fc.boolean(),
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.uint8Array({ maxLength: 50 }),
  fc.array(fc.oneof(fc.integer(), text), { maxLength: 5 }),
);
const entry = fc.tuple(text, fc.array(value, { minLength: 1, maxLength: 5 }));

describe('entries', () => {
  test('come back as they went, wherever the segments end', () => {
    fc.assert(
      fc.property(fc.array(entry), fc.array(fc.nat(), { maxLength: 20 }), (entries, cuts) => {
        expect(read(readerOf(written(entries), cuts))).toEqual(entries);
      }),
    );
  });

  test('are small when they are', () => {
    expect(written([['word', [1]]])).toHaveLength(1 + 4 + 1 + 1);
    expect(written([['word', [1, 2, 127]]])).toHaveLength(1 + 4 + 1 + 3);
    expect(written([['word', [128]]])).toHaveLength(1 + 4 + 1 + 5);
  });

  test('of long keys and of many values', () => {
    const many = Array.from({ length: 100_000 }, (_, at) => at);
    const entries: Entry[] = [62, 63, 64, 65, 65_536].flatMap((length): Entry[] => [
      ['k'.repeat(length), [length]],
      ['é'.repeat(length / 2), many.slice(0, length)],
    ]);
    entries.push(['many', many]);
    expect(read(readerOf(written(entries), [70, 1_000, 100_000]))).toEqual(entries);
  });

  test('may be left half read', () => {
    const reader = readerOf(
      written([
        ['a', [1, 'two', [3]]],
        ['b', [4]],
      ]),
    );
    reader.next();
    expect([reader.key, reader.value()]).toEqual(['a', 1]);
    reader.next();
    expect([reader.key, reader.value(), reader.next()]).toEqual(['b', 4, false]);
  });

  test('undefined becomes null', () => {
    expect(read(readerOf(written([['a', [undefined]]])))).toEqual([['a', [null]]]);
  });

  test.each([
    ['a function', () => 1],
    ['half of a surrogate pair', 'é\ud800'],
    ['more than 16 MiB of text', 'x'.repeat(16 * 1024 * 1024 + 1)],
    ['more than 16 MiB of bytes', new Uint8Array(16 * 1024 * 1024)],
    ['a class instance', new Map()],
  ])('with %s are refused, and nothing of them stays', (_what, wrong) => {
    const writer = new EntryWriter();
    writer.entry('before', [1]);
    const before = writer.byteLength;
    expect(() => writer.entry('wrong', [1, wrong])).toThrow(
      expect.objectContaining({
        code: 'PAIPAI_ERR_HANDLER_RESULT',
        message: expect.stringContaining('"wrong"'),
      }),
    );
    expect(writer.byteLength).toBe(before);
    writer.entry('after', [2]);
    expect(read(readerOf(writer.view()))).toEqual([
      ['before', [1]],
      ['after', [2]],
    ]);
  });

  test.each([
    ['a key beyond 64 KiB', [0x82, 0x80, 0x08]],
    ['a key that is cut short', [3 * 2 + 1, 97]],
    ['no count', [3, 97]],
    ['no values', [3, 97, 0]],
    ['a value that is missing', [3, 97, 1]],
    ['fewer values than announced', [3, 97, 0xff, 0xff, 0xff, 0x7f, 1]],
    ['an unknown kind', [3, 97, 1, 0xff]],
    ['half an integer', [3, 97, 1, 0x83, 1, 2]],
    ['text beyond 16 MiB', [3, 97, 1, 0x86, 0x81, 0x80, 0x80, 0x08]],
    ['text that is cut short', [3, 97, 1, 0x85, 5, 97]],
    ['a packed value with something behind it', [3, 97, 1, 0x87, 2, 0x01, 0x01]],
    ['a number without end', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ])('that are malformed are refused: %s', (_what, bytes) => {
    expect(() => read(readerOf(Uint8Array.from(bytes)))).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^PAIPAI_ERR_(PROTOCOL|VALUE)$/) }),
    );
  });

  test('of any bytes are read or refused with a code, never otherwise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          read(readerOf(bytes));
        } catch (error) {
          expect(error).toMatchObject({
            code: expect.stringMatching(/^PAIPAI_ERR_(PROTOCOL|VALUE)$/),
          });
        }
      }),
    );
  });

  test('packed values do not view what they were read from', () => {
    const bytes = written([['a', [new Uint8Array([1, 2, 3])]]]);
    const reader = readerOf(bytes);
    reader.next();
    const kept = reader.value();
    expect(encodeValue(kept)).toEqual(encodeValue(new Uint8Array([1, 2, 3])));
    expect((kept as Uint8Array).buffer.byteLength).toBeLessThan(20);
  });
});
