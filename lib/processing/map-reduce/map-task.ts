import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../base/env.js';
import { isPaipaiError, PaipaiError } from '../../base/errors.js';
import { decodeValue } from '../../wire/values.js';
import { handlerFailed, isThenable } from '../handler-failures.js';
import type { HandlerTable } from '../handlers.js';
import type { MapTask, MapTaskResult } from '../worker-messages.js';
import { shown } from './entry-writer.js';
import { foldWith } from './fold.js';
import { functionOf, type MapFunction } from './functions.js';
import { GroupTable } from './group-table.js';
import { keyBytesMax } from './limits.js';
import { type Run, RunWriter } from './run-writer.js';
import { ShuffleSpace } from './shuffle-space.js';

/** After so much input the worker looks whether it was told to stop. */
const turnBytes = 1024 * 1024;
/** Shorter strings are never views of longer ones (V8's SlicedString). */
const slicedLengthMin = 13;

/** Runs a map over shards in a worker, and keeps what it emitted, by partition. */
export async function runMapTask(
  task: MapTask,
  handlers: HandlerTable,
  signal: AbortSignal,
  clock: Clock,
): Promise<MapTaskResult> {
  const { handler, dataId, nodeId, shards, partitions, tableBytesMax, seed } = task;
  const map = functionOf<MapFunction>(handlers, handler);
  const startMs = clock.nowMs();
  const args = task.args === undefined ? null : decodeValue(task.args);
  const fold = foldWith(handlers, task.combine, { dataId, nodeId, args, signal });
  const writer = new RunWriter(new ShuffleSpace(task.space), partitions);
  const runs: Run[] = [];
  const flush = (): void => {
    if (!table.isEmpty) runs.push(writer.write(table.drain()));
  };
  const table = new GroupTable(tableBytesMax, seed, fold, flush);
  let isOver = false;
  /** The first; what was thrown may be anything, undefined too. */
  let failure: { readonly thrown: unknown } | undefined;
  const emit = (key: string, value: unknown): void => {
    if (isOver) {
      throw new PaipaiError('PAIPAI_ERR_INVALID_STATE', 'emit was called when its map was over');
    }
    // Also a map that catches it has failed, and the table may not be whole.
    if (failure !== undefined) throw failure.thrown;
    try {
      // Whatever the types say, a map may emit anything.
      if (typeof key !== 'string' || !table.tryAdd(key, value)) table.open(ownKey(key), value);
    } catch (thrown) {
      failure ??= { thrown };
      throw thrown;
    }
  };

  try {
    let turnLeftBytes = turnBytes;
    for (const { index, bytes } of shards) {
      if (turnLeftBytes <= 0) {
        await setImmediate();
        turnLeftBytes = turnBytes;
      }
      turnLeftBytes -= bytes.byteLength;
      if (signal.aborted) throw new PaipaiError('PAIPAI_ERR_ABORTED', 'the task was aborted');
      try {
        const result = map(bytes, { dataId, shardIndex: index, nodeId, args, signal, emit });
        if (isThenable(result)) await result;
      } catch (thrown) {
        failure ??= { thrown };
      }
      if (failure !== undefined) throw failureOn(handler, failure.thrown, index);
    }
    flush();
  } finally {
    isOver = true;
  }
  return { runs, timeMs: clock.nowMs() - startMs };
}

/**
 * The key for the table, checked: it is the first time that the task sees it. A slice would keep the whole text alive that it was cut from.
 * @throws PaipaiError PAIPAI_ERR_HANDLER_RESULT.
 */
function ownKey(key: unknown): string {
  if (typeof key !== 'string') {
    throw new PaipaiError('PAIPAI_ERR_HANDLER_RESULT', `a key is a ${typeof key}, and no text`);
  }
  const { length } = key;
  const bytes = length < slicedLengthMin || length > keyBytesMax ? undefined : Buffer.from(key);
  if (Math.max(length, bytes?.byteLength ?? 0) > keyBytesMax) {
    throw new PaipaiError(
      'PAIPAI_ERR_HANDLER_RESULT',
      `the key ${shown(key)} is longer than ${keyBytesMax} bytes`,
    );
  }
  const own = bytes === undefined ? key : bytes.toString();
  if (bytes === undefined ? !/\p{Surrogate}/u.test(key) : own === key) return own;
  throw new PaipaiError(
    'PAIPAI_ERR_HANDLER_RESULT',
    `the key ${shown(key)} has half of a surrogate pair`,
  );
}

/** Errors of ours come from `emit` or a combine, and say what was wrong; anything else was thrown by the map. */
function failureOn(handler: string, thrown: unknown, shardIndex: number): PaipaiError {
  if (!isPaipaiError(thrown)) {
    return handlerFailed(handler, thrown, `shard ${shardIndex}`, { shardIndex });
  }
  return new PaipaiError(
    thrown.code,
    `handler '${handler}' failed on shard ${shardIndex}: ${thrown.message}`,
    { shardIndex, handler, cause: thrown },
  );
}
