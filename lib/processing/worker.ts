import { setImmediate } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../base/env.js';
import { PaipaiError, toError } from '../base/errors.js';
import { decodeValue, encodeValue } from '../wire/values.js';
import { handlerFailed, isThenable } from './handler-failures.js';
import type { Handler, HandlerModule, HandlerTable } from './handlers.js';
import { runMapTask } from './map-reduce/map-task.js';
import { runReduceTask } from './map-reduce/reduce-task.js';
import { runMessageTask } from './messaging/message-task.js';
import { encodePart, sortedEntries, type ValueEntry } from './value-parts.js';
import type {
  FromWorker,
  MergeTask,
  ResultOf,
  RunTask,
  Task,
  TaskFailure,
  TaskResult,
  ToWorker,
} from './worker-messages.js';

function encodeResult(handler: string, value: unknown, shardIndex: number): Uint8Array {
  try {
    return encodeValue(value ?? null);
  } catch (thrown) {
    throw new PaipaiError(
      'PAIPAI_ERR_HANDLER_RESULT',
      `what handler '${handler}' returned for shard ${shardIndex} cannot be encoded: ${toError(thrown).message}`,
      { shardIndex, handler },
    );
  }
}

/** How long shards are worked on before the thread looks whether the task was aborted. */
const turnMs = 10;

async function runShards(
  task: RunTask,
  handler: Handler,
  signal: AbortSignal,
  clock: Clock,
): Promise<ValueEntry[]> {
  const { merge } = handler;
  const args = task.args === undefined ? null : decodeValue(task.args);
  const entries: ValueEntry[] = [];
  let merged: unknown;
  let isFirst = true;
  let turnedMs = clock.nowMs();
  for (const { index, bytes } of task.shards) {
    if (!isFirst && clock.nowMs() - turnedMs >= turnMs) {
      await setImmediate();
      turnedMs = clock.nowMs();
    }
    if (signal.aborted) throw new PaipaiError('PAIPAI_ERR_ABORTED', 'the task was aborted');
    const context = { dataId: task.dataId, shardIndex: index, nodeId: task.nodeId, args, signal };
    let value: unknown;
    try {
      value = handler.process(bytes, context);
      if (isThenable(value)) value = await value;
      if (merge !== undefined && !isFirst) {
        value = merge(merged, value);
        if (isThenable(value)) value = await value;
      }
    } catch (thrown) {
      throw handlerFailed(task.handler, thrown, `shard ${index}`, { shardIndex: index });
    }
    if (merge === undefined)
      entries.push({ index, bytes: encodeResult(task.handler, value, index) });
    else merged = value;
    isFirst = false;
  }
  const first = task.shards[0];
  if (merge !== undefined && first !== undefined) {
    entries.push({ index: first.index, bytes: encodeResult(task.handler, merged, first.index) });
  }
  return entries;
}

async function mergeParts(
  task: MergeTask,
  handler: Handler,
  signal: AbortSignal,
): Promise<ValueEntry[]> {
  const { merge } = handler;
  const [first, ...others] = sortedEntries(task.parts);
  if (merge === undefined || first === undefined) {
    throw new PaipaiError(
      'PAIPAI_ERR_HANDLER_UNKNOWN',
      `handler '${task.handler}' has nothing to merge`,
    );
  }
  let merged = decodeValue(first.bytes);
  for (const { index, bytes } of others) {
    if (signal.aborted) throw new PaipaiError('PAIPAI_ERR_ABORTED', 'the task was aborted');
    const value = decodeValue(bytes);
    try {
      merged = await merge(merged, value);
    } catch (thrown) {
      throw handlerFailed(task.handler, thrown, `shard ${index}`, { shardIndex: index });
    }
  }
  return [{ index: first.index, bytes: encodeResult(task.handler, merged, first.index) }];
}

async function runPartTask(
  task: RunTask | MergeTask,
  handlers: HandlerTable,
  signal: AbortSignal,
  clock: Clock,
): Promise<TaskResult> {
  const handler = handlers.get(task.handler);
  if (handler === undefined) {
    throw new PaipaiError(
      'PAIPAI_ERR_HANDLER_UNKNOWN',
      `no handler '${task.handler}' is registered`,
    );
  }
  const startMs = clock.nowMs();
  const entries = await (task.kind === 'run'
    ? runShards(task, handler, signal, clock)
    : mergeParts(task, handler, signal));
  // Cut to its own memory, which then moves to the other thread instead of being copied.
  return { part: encodePart(entries).slice(), timeMs: clock.nowMs() - startMs };
}

async function runTask(
  task: Task,
  { handlers, topics }: HandlerModule,
  signal: AbortSignal,
  clock: Clock,
): Promise<ResultOf<Task>> {
  switch (task.kind) {
    case 'map':
      return runMapTask(task, handlers, signal, clock);
    case 'reduce':
      return runReduceTask(task, handlers, signal, clock);
    case 'message':
      return runMessageTask(task, topics, signal);
    default:
      return runPartTask(task, handlers, signal, clock);
  }
}

function failureOf(thrown: unknown): TaskFailure {
  if (!(thrown instanceof PaipaiError)) {
    return { code: 'PAIPAI_ERR_HANDLER_FAILED', message: toError(thrown).message };
  }
  const { code, message, handler, shardIndex } = thrown;
  return {
    code,
    message,
    ...(handler === undefined ? {} : { handler }),
    ...(shardIndex === undefined ? {} : { shardIndex }),
  };
}

/** Memory of a result that moves to the other thread. */
function transferOf(result: ResultOf<Task>): ArrayBuffer[] {
  if ('part' in result) return [result.part.buffer];
  return 'answer' in result ? [result.answer.buffer] : [];
}

/** Serves tasks that come over `port`, one at a time, until the thread is terminated. */
export async function serveTasks(
  port: MessagePort,
  load: () => Promise<HandlerModule>,
  clock: Clock,
): Promise<void> {
  const say = (message: FromWorker, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer);

  let module: HandlerModule;
  try {
    module = await load();
  } catch (thrown) {
    say({ kind: 'unready', message: toError(thrown).message });
    return;
  }

  let running: { id: number; abort: AbortController } | undefined;
  port.on('message', async (message: ToWorker) => {
    if (message.kind === 'abort') {
      if (running?.id === message.id) running.abort.abort();
      return;
    }
    const { id, task } = message;
    const abort = new AbortController();
    running = { id, abort };
    try {
      const result = await runTask(task, module, abort.signal, clock);
      running = undefined;
      say({ kind: 'done', id, result }, transferOf(result));
    } catch (thrown) {
      running = undefined;
      say({ kind: 'failed', id, failure: failureOf(thrown) });
    }
  });
  const infos = [...module.handlers].map(([name, { merge }]) => ({
    name,
    merges: merge !== undefined,
  }));
  say({ kind: 'ready', handlers: infos });
}
