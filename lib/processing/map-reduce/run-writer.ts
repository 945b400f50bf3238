import { EntryWriter } from './entry-writer.js';
import type { Groups } from './group-table.js';
import { partitionOf } from './partition.js';
import { type Segment, type ShuffleSpace, sliceSegment } from './shuffle-space.js';

/** Entries of all partitions, as one task of a node wrote them: those of partition p lie from `ends[p - 1]` (or 0) to `ends[p]`. */
export interface Run {
  readonly segment: Segment;
  readonly ends: readonly number[];
}

/** The entries of one partition in a run; none of a partition that it does not have. */
export function partOfRun({ segment, ends }: Run, partition: number): Segment {
  const end = ends[partition] ?? 0;
  return sliceSegment(segment, Math.min(end, ends[partition - 1] ?? 0), end);
}

/** Sorts groups into partitions and keeps them as runs. */
export class RunWriter {
  readonly #space: ShuffleSpace;
  readonly #writers: readonly EntryWriter[];

  constructor(space: ShuffleSpace, partitions: number) {
    this.#space = space;
    this.#writers = Array.from({ length: partitions }, () => new EntryWriter());
  }

  /** @throws PaipaiError PAIPAI_ERR_HANDLER_RESULT for a value that cannot be encoded; PAIPAI_ERR_STORE_FULL, PAIPAI_ERR_STORE_FAILED. */
  write(groups: Groups): Run {
    const writers = this.#writers;
    for (const writer of writers) writer.clear();
    for (const [place, key] of groups.keys.entries()) {
      writers[partitionOf(key, writers.length)]?.entry(key, groups.valuesAt(place));
    }
    let end = 0;
    const ends = writers.map(({ byteLength }) => {
      end += byteLength;
      return end;
    });
    return { segment: this.#space.keep(writers.map((writer) => writer.view())), ends };
  }
}
