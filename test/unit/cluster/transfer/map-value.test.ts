import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PaipaiError } from '../../../../dist/base/errors.js';
import { decodeMapValue, encodeMapValue } from '../../../../dist/cluster/transfer/map-value.js';
import type { PlacedShard } from '../../../../dist/cluster/transfer/shard-map.js';
import { seeded } from '../../../support/seeded.js';

const bytesMax = 1024 * 1024;

/** Shards of these lengths, one behind the other. */
function shardsOf(
  lengths: readonly number[],
  holdersOf: (index: number) => readonly string[],
  crcOf: (index: number) => number = (index) => index,
): PlacedShard[] {
  let offset = 0;
  return lengths.map((bytes, index) => {
    const shard = { index, offset, bytes, crc32c: crcOf(index), holders: holdersOf(index) };
    offset += bytes;
    return shard;
  });
}

describe('a shard map in the table', () => {
  test('has these bytes', () => {
    const shards = shardsOf([300, 300, 5], (index) => (index === 1 ? ['b', 'ä'] : ['b']));
    const value = encodeMapValue({ version: 258, shards, fence: 0 }, bytesMax);
    expect(Buffer.from(value).toString('hex')).toBe(
      [
        '01010200030000000201000000000000', // Layout, listed, 2 nodes, 3 shards, version 258.
        '2c01000000000000', // 300 bytes.
        '016202c3a4', // The nodes.
        '010102010101', // One copy, two, one.
        '00000100', // Where.
        '0002a70201', // Two of the longest, one that is 295 shorter.
        '000000000100000002000000',
      ].join(''),
    );
    expect(decodeMapValue(value)).toEqual({ version: 258, shards, fence: 0 });
    const fenced = encodeMapValue({ version: 258, shards, fence: 7 }, bytesMax);
    expect(Buffer.from(fenced).toString('hex')).toContain('2c0100000000000007000000000000000162');
    expect(decodeMapValue(fenced)).toEqual({ version: 258, shards, fence: 7 });
  });

  test('comes back as it went, with nobody holding some, with many nodes, and with none', () => {
    const many = Array.from({ length: 300 }, (_, at) => `node-${at}`);
    const maps = [
      shardsOf([], () => []),
      shardsOf([1, 2], () => []),
      shardsOf(
        Array.from({ length: 600 }, (_, at) => 1 + (at % 7)),
        (at) => [many[at % 300]!, many[(at + 1) % 300]!],
      ),
      shardsOf([64 * 1024 * 1024, 1], () => many),
    ];
    for (const shards of maps) {
      const value = encodeMapValue(
        { version: Number.MAX_SAFE_INTEGER, shards, fence: 0 },
        bytesMax,
      );
      expect(decodeMapValue(value)).toEqual({ version: Number.MAX_SAFE_INTEGER, shards, fence: 0 });
    }
  });

  test.each([
    ['of one length', 64, () => 1024 * 1024],
    ['cut at records', 64, (random: () => number) => 1024 * 1024 - Math.floor(random() * 16_000)],
  ])('100,000 shards with three copies fit one value: %s', (_, nodeCount, lengthOf) => {
    const random = seeded(5);
    const draw = (below: number): number => Math.floor(random.next() * below);
    const shards = shardsOf(
      Array.from({ length: 100_000 }, () => lengthOf(() => random.next())),
      () => {
        const first = draw(nodeCount - 2);
        return [`host-${first}`, `host-${first + 1}`, `host-${first + 2}`];
      },
      () => draw(2 ** 32),
    );
    const value = encodeMapValue({ version: 1, shards, fence: 0 }, bytesMax);
    expect(value.byteLength).toBeLessThanOrEqual(bytesMax);
    expect(decodeMapValue(value)).toEqual({ version: 1, shards, fence: 0 });
  });

  test('without its shards when they would not fit, or some are missing', () => {
    const shards = shardsOf([5, 5, 5], () => ['a']);
    const whole = encodeMapValue({ version: 7, shards, fence: 0 }, bytesMax).byteLength;
    expect(decodeMapValue(encodeMapValue({ version: 7, shards, fence: 0 }, whole)).shards).toEqual(
      shards,
    );
    const unlisted = { version: 7, shards: undefined, fence: 0 };
    for (const value of [
      encodeMapValue({ version: 7, shards, fence: 0 }, whole - 1),
      encodeMapValue({ version: 7, shards: shards.slice(1), fence: 0 }, bytesMax),
      encodeMapValue({ version: 7, shards: [shards[0]!, shards[2]!], fence: 0 }, bytesMax),
      encodeMapValue(unlisted, bytesMax),
    ]) {
      expect(value.byteLength).toBe(24);
      expect(decodeMapValue(value)).toEqual(unlisted);
    }
  });

  const header = '01010100010000000100000000000000' + '0a00000000000000';
  test.each([
    ['nothing', ''],
    ['another layout', `02${header.slice(2)}0161010100000101000000`],
    ['unknown flags', `0103${header.slice(4)}016101010000 01000000ff`],
    ['no version', `0101010001000000000000000000000000000000${'00'.repeat(30)}`],
    ['a version beyond all numbers', `01000000000000000000000000000020${'00'.repeat(8)}`],
    ['shards where none are listed', `0100000001000000010000000000000000000000${'00'.repeat(8)}`],
    ['more shards than bytes', `0101010000000001010000000000000000000000${'00'.repeat(30)}`],
    ['a node without a name', `${header}00010100 0001 01000000`],
    ['a node whose name is no text', `${header}01ff0101000001 01000000`],
    ['a node that it has not', `${header}01610101010001 01000000`],
    ['more copies than nodes', `${header}0161020100000001 01000000`],
    ['a run of nothing', `${header}016101000001 0100000000000000`],
    ['a run that goes on', `${header}01610102000001 01000000`],
    ['a number without an end', `${header}0161ffffffffffff 01000000`],
    ['an empty shard', `${header}01610101000a01 01000000`],
    ['a checksum cut short', `${header}0161010100000101 0000`],
    ['bytes left over', `${header}01610101000001 0100000000`],
  ])('%s is refused', (_, hex) => {
    const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    expect(() => decodeMapValue(bytes)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_PROTOCOL' }),
    );
  });

  test('property: any bytes are a map, or a typed error', () => {
    const shards = shardsOf([9, 9, 8, 1], (at) => (at === 2 ? [] : ['a', 'b'].slice(at % 2)));
    const whole = encodeMapValue({ version: 3, shards, fence: 0 }, bytesMax);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.byteLength - 1), fc.nat(255)), { maxLength: 3 }),
        fc.nat(whole.byteLength),
        (changes, length) => {
          const changed = whole.slice();
          for (const [at, byte] of changes) changed[at] = byte;
          try {
            decodeMapValue(changed.subarray(0, length));
          } catch (error) {
            expect(error).toBeInstanceOf(PaipaiError);
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
