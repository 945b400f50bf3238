import type { Clock } from '../../base/env.js';
import { isPaipaiError, PaipaiError } from '../../base/errors.js';
import { decodeValue } from '../../wire/values.js';
import { handlerFailed, isThenable } from '../handler-failures.js';
import type { HandlerTable } from '../handlers.js';
import type { ReduceTask, ReduceTaskResult } from '../worker-messages.js';
import { EntryReader } from './entry-reader.js';
import { EntryWriter, shown } from './entry-writer.js';
import { foldWith } from './fold.js';
import { functionOf, type KeyContext, type ReduceFunction } from './functions.js';
import { type Groups, GroupTable } from './group-table.js';
import { resultBytesMax } from './limits.js';
import { RunMerger } from './merge-runs.js';
import { SegmentReader } from './segment-reader.js';
import { type Segment, ShuffleSpace } from './shuffle-space.js';

/** Read of a file at once: more saves nothing that could be measured, and many runs share what a table took before. */
const pieceBytesMax = 256 * 1024;
const pieceBytesMin = 4 * 1024;
/** Results gather to this before they are kept. */
const outputBytes = 1024 * 1024;

/**
 * Reduces one partition in a worker. While its groups fit into the table, that is all; else the table goes, sorted, into a run whenever it is
 * full, and the runs are merged by key:
 *
 *   entries ──► table ──► reduce                          they fit
 *                 └─ full ─► sorted run … ──► merge ──► reduce
 */
export async function runReduceTask(
  task: ReduceTask,
  handlers: HandlerTable,
  signal: AbortSignal,
  clock: Clock,
): Promise<ReduceTaskResult> {
  const { handler, dataId, nodeId, segments, tableBytesMax, seed } = task;
  const startMs = clock.nowMs();
  const args = task.args === undefined ? null : decodeValue(task.args);
  const context: KeyContext = { dataId, nodeId, args, signal };
  const space = new ShuffleSpace(task.space);
  const output = new Output(handler, functionOf<ReduceFunction>(handlers, handler), context, space);
  const fold = foldWith(handlers, task.combine, context);

  const runs: Segment[] = [];
  const writer = new EntryWriter();
  const table = new GroupTable(tableBytesMax, seed, fold, () => {
    runs.push(writeSorted(table.drain(), writer, space));
  });
  const entries = new EntryReader(new SegmentReader(space, segments, pieceBytesMax));
  while (entries.next()) {
    const { key } = entries;
    while (entries.valuesLeft > 0) table.add(key, entries.value());
  }

  if (runs.length === 0) {
    const groups = table.drain();
    for (const [place, key] of groups.keys.entries()) {
      const later = output.reduce(key, groups.valuesAt(place).values());
      if (later !== undefined) await later;
    }
  } else {
    if (!table.isEmpty) runs.push(writeSorted(table.drain(), writer, space));
    const piece = Math.floor(tableBytesMax / runs.length);
    const pieceBytes = Math.max(pieceBytesMin, Math.min(pieceBytesMax, piece));
    const merger = new RunMerger(
      runs.map((run) => new EntryReader(new SegmentReader(space, [run], pieceBytes))),
    );
    while (merger.next()) {
      const later = output.reduce(merger.key, merger.values());
      if (later !== undefined) await later;
    }
    space.release(runs);
  }
  return { segments: output.finish(), keys: output.keys, timeMs: clock.nowMs() - startMs };
}

function writeSorted(groups: Groups, writer: EntryWriter, space: ShuffleSpace): Segment {
  writer.clear();
  for (const key of groups.sortedKeys()) {
    writer.entry(key, groups.valuesAt(groups.placeOf(key)));
  }
  return space.keep([writer.view()]);
}

/** What the reduce made of each key. */
class Output {
  readonly #handler: string;
  readonly #function: ReduceFunction;
  readonly #context: KeyContext;
  readonly #space: ShuffleSpace;
  readonly #writer = new EntryWriter();
  readonly #segments: Segment[] = [];
  #bytes = 0;
  keys = 0;

  constructor(handler: string, reduce: ReduceFunction, context: KeyContext, space: ShuffleSpace) {
    this.#handler = handler;
    this.#function = reduce;
    this.#context = context;
    this.#space = space;
  }

  /** Awaits only a reduce that is asynchronous: a turn for each key adds up, so the result is a promise only then. */
  reduce(key: string, values: IterableIterator<unknown>): Promise<void> | undefined {
    let result: unknown;
    try {
      result = this.#function(key, values, this.#context);
    } catch (thrown) {
      throw this.#failureOn(key, thrown);
    }
    if (!isThenable(result)) {
      this.#put(key, result);
      return undefined;
    }
    return Promise.resolve(result).then(
      (value) => this.#put(key, value),
      (thrown) => {
        throw this.#failureOn(key, thrown);
      },
    );
  }

  finish(): Segment[] {
    if (this.#writer.byteLength > 0) this.#keep();
    return this.#segments;
  }

  #put(key: string, value: unknown): void {
    this.#writer.entry(key, [value]);
    this.keys++;
    if (this.#writer.byteLength >= outputBytes) this.#keep();
  }

  #keep(): void {
    this.#bytes += this.#writer.byteLength;
    if (this.#bytes > resultBytesMax) {
      throw new PaipaiError(
        'PAIPAI_ERR_HANDLER_RESULT',
        `the results are longer than the ${resultBytesMax} bytes that one job may answer`,
        { handler: this.#handler },
      );
    }
    this.#segments.push(this.#space.keep([this.#writer.view()]));
    this.#writer.clear();
  }

  /** Errors of ours come from reading the values, whose file failed. */
  #failureOn(key: string, thrown: unknown): PaipaiError {
    if (isPaipaiError(thrown)) return thrown;
    return handlerFailed(this.#handler, thrown, `the key ${shown(key)}`);
  }
}
