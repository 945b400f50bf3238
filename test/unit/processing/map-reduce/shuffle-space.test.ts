import { readdirSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EntryReader } from '../../../../dist/processing/map-reduce/entry-reader.js';
import { EntryWriter } from '../../../../dist/processing/map-reduce/entry-writer.js';
import { GroupTable } from '../../../../dist/processing/map-reduce/group-table.js';
import { RunMerger } from '../../../../dist/processing/map-reduce/merge-runs.js';
import { partOfRun, RunWriter } from '../../../../dist/processing/map-reduce/run-writer.js';
import { SegmentCollector } from '../../../../dist/processing/map-reduce/segment-collector.js';
import { SegmentReader } from '../../../../dist/processing/map-reduce/segment-reader.js';
import {
  type Segment,
  ShuffleSpace,
  sliceSegment,
} from '../../../../dist/processing/map-reduce/shuffle-space.js';
import { noise, openDescriptors, ownTmpdir } from '../../../main-job/nets.js';
import { seeded } from '../../../support/seeded.js';

/** Bytes of a job in memory and in its file. */

function openSpace(heldBytesMax: number): ShuffleSpace {
  const space = ShuffleSpace.open(heldBytesMax);
  onTestFinished(() => space.close());
  return space;
}

function contentOf(space: ShuffleSpace, segments: readonly Segment[]): Buffer {
  const reader = new SegmentReader(space, segments, 100);
  const total = segments.reduce((sum, { byteLength }) => sum + byteLength, 0);
  reader.need(total);
  return reader.bytes.subarray(reader.at, reader.at + total);
}

describe('a space', () => {
  test('holds what fits, and writes the rest to its file', async () => {
    const space = openSpace(1_000);
    const content = noise(3_000);
    const shared = new Uint8Array(new SharedArrayBuffer(3_000));
    shared.set(content);
    const segments = [
      space.keep([content.subarray(0, 500), content.subarray(500, 900)]),
      space.keep([content.subarray(900, 1_001)]),
      space.keep([content.subarray(1_001, 1_101)]),
      await space.keepLater(shared.subarray(1_101, 2_000)),
      await space.keepLater(shared.subarray(2_000)),
    ];
    expect(segments.map(({ at }) => typeof at)).toEqual([
      'object',
      'number',
      'object',
      'number',
      'number',
    ]);
    expect([space.heldBytes, space.spilledBytes]).toEqual([1_000, 2_000]);
    expect(contentOf(space, segments).equals(content)).toBe(true);
    const last = sliceSegment(segments[4] as Segment, 10, 20);
    expect(contentOf(space, [last]).equals(content.subarray(2_010, 2_020))).toBe(true);

    space.release(segments);
    expect([space.heldBytes, space.spilledBytes]).toEqual([0, 2_000]);
  });

  test('has a file without a name, and no folder', () => {
    const folder = ownTmpdir();
    const before = openDescriptors();
    const space = ShuffleSpace.open(0);
    space.keep([noise(1_000)]);
    expect(readdirSync(folder)).toEqual([]);
    space.close();
    expect(openDescriptors()).toBe(before);
  });

  test('cannot be opened where no file can be made', () => {
    ownTmpdir();
    process.env['TMPDIR'] = '/dev/null';
    expect(() => ShuffleSpace.open(0)).toThrow(
      expect.objectContaining({ code: 'PAIPAI_ERR_STORE_FAILED' }),
    );
  });

  test('takes chunks of any size, from an empty one to several blocks', async () => {
    for (const heldBytesMax of [0, 1_500_000, 10_000_000]) {
      const space = openSpace(heldBytesMax);
      const collector = new SegmentCollector(space);
      const content = noise(5_000_000);
      let start = 0;
      for (const bytes of [0, 1, 16_383, 1, 100_000, 3_000_000, 7, 1_883_608]) {
        await collector.add(content.subarray(start, start + bytes));
        start += bytes;
      }
      const segments = await collector.finish();
      expect(contentOf(space, segments).equals(content)).toBe(true);
      expect(space.heldBytes).toBeLessThanOrEqual(heldBytesMax);
      space.release(collector.takeSegments());
      space.release(collector.takeSegments());
      expect(space.heldBytes).toBe(0);
    }
  });
});

describe('runs', () => {
  test('have every key in the partition it belongs to, and none in one that is not there', () => {
    for (const heldBytesMax of [0, 1_000_000]) {
      const space = openSpace(heldBytesMax);
      const writer = new RunWriter(space, 4);
      const table = new GroupTable(1e9, 7, undefined, () => {});
      const expected = new Map<string, unknown[]>();
      for (let at = 0; at < 500; at++) {
        const key = `key${at}`;
        table.add(key, at);
        table.add(key, at + 1);
        expected.set(key, [at, at + 1]);
      }
      const groups = table.drain();
      writer.write(groups);
      const run = writer.write(groups);
      const seen = new Map<string, unknown[]>();
      for (let partition = 0; partition < 4; partition++) {
        const segment = partOfRun(run, partition);
        expect(segment.byteLength).toBeGreaterThan(0);
        const reader = new EntryReader(new SegmentReader(space, [segment], 64));
        while (reader.next()) seen.set(reader.key, [reader.value(), reader.value()]);
      }
      expect(seen).toEqual(expected);
      expect(partOfRun(run, 4).byteLength).toBe(0);
    }
  });

  test('are merged by key: each key once, in order, with the values of all', () => {
    const random = seeded(3);
    const space = openSpace(10_000);
    const writer = new EntryWriter();
    const expected = new Map<string, number[]>();
    const runs = Array.from({ length: 40 }, (_, run) => {
      const keys = new Set(Array.from({ length: run }, () => `k${Math.floor(random.next() * 99)}`));
      writer.clear();
      for (const key of [...keys].sort()) {
        writer.entry(key, [run, -run]);
        expected.set(key, [...(expected.get(key) ?? []), run, -run]);
      }
      return space.keep([writer.view()]);
    });
    const readers = runs.map((run) => new EntryReader(new SegmentReader(space, [run], 32)));
    const merger = new RunMerger(readers);
    const keys: string[] = [];
    while (merger.next()) {
      keys.push(merger.key);
      // Every third is left before its end.
      if (keys.length % 3 === 0) {
        expect(expected.get(merger.key)).toContain(merger.values().next().value);
        continue;
      }
      const values = [...merger.values()].map(Number);
      expect(values.sort()).toEqual(expected.get(merger.key)?.sort());
    }
    expect(keys).toEqual([...expected.keys()].sort());
  });
});
