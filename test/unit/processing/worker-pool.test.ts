import { setMaxListeners } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createRealEnv } from '../../../dist/node/real-env.js';
import { sortedEntries } from '../../../dist/processing/value-parts.js';
import type { RunTask, TaskResult } from '../../../dist/processing/worker-messages.js';
import {
  type TaskOptions,
  WorkerPool,
  type WorkerPoolOptions,
} from '../../../dist/processing/worker-pool.js';
import { decodeValue, encodeValue } from '../../../dist/wire/values.js';
import { handlers, reached } from '../../main-job/nets.js';

/** The pool with the workers of a node. */

function newPool(options: Partial<WorkerPoolOptions> = {}): WorkerPool {
  const pool = new WorkerPool({
    env: createRealEnv(),
    entry: new URL('../../../dist/node/worker-entry.cjs', import.meta.url),
    workerData: { handlers: handlers.href, engine: 'js' },
    size: 1,
    ...options,
  });
  onTestFinished(() => pool.close());
  return pool;
}

function taskOf(handler: string, contents: readonly number[][] = [[1, 2, 3]]): RunTask {
  const shards = contents.map((bytes, index) => {
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    return { index, bytes: shared };
  });
  return { kind: 'run', handler, dataId: 'd', nodeId: 'n', args: undefined, shards };
}

const unlimited = { deadlineMs: Infinity, signal: new AbortController().signal };
setMaxListeners(0, unlimited.signal);

function valuesOf({ part }: TaskResult): unknown[] {
  return sortedEntries([part]).map(({ bytes }) => decodeValue(bytes));
}

describe('run', () => {
  test('gives a value for each shard, or one for all when the handler merges', async () => {
    const pool = newPool();
    expect(valuesOf(await pool.run(taskOf('length', [[1], [1, 2]]), unlimited))).toEqual([1, 2]);
    expect(valuesOf(await pool.run(taskOf('byteSum', [[1], [2, 3]]), unlimited))).toEqual([6]);
  });

  test('the workers read the very memory of the store', async () => {
    const pool = newPool();
    const task = taskOf('byteSum');
    await pool.handlers();
    const running = pool.run(taskOf('byteSum', Array(200).fill([1, 1, 1, 1])), unlimited);
    const later = pool.run(task, unlimited);
    // It waits behind the other one; what is written before it runs is what it reads.
    task.shards[0]?.bytes.set([10, 20, 30]);
    expect(valuesOf(await running)).toEqual([800]);
    expect(valuesOf(await later)).toEqual([60]);
  });

  test('works on as many tasks at once as there are workers', async () => {
    const pool = newPool({ size: 3 });
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, at) => pool.run(taskOf('later', [[at]]), unlimited)),
    );
    expect(results.flatMap(valuesOf)).toEqual(Array.from({ length: 20 }, (_, at) => at));
  });

  test('merges parts in the order of their index', async () => {
    const pool = newPool();
    const parts = [3, 1, 2].map((index) => encodeValue([[index, encodeValue(index * 10)]]));
    const result = await pool.run({ kind: 'merge', handler: 'byteSum', parts }, unlimited);
    expect(sortedEntries([result.part])).toMatchObject([{ index: 1 }]);
    expect(valuesOf(result)).toEqual([60]);
  });

  test('an endless handler costs its worker at the deadline, and only that', async () => {
    const pool = newPool({ size: 2 });
    await pool.handlers();
    const endless = pool.run(taskOf('endless'), { ...unlimited, deadlineMs: 200 });
    const outcome = endless.catch((error: unknown) => error);
    expect(valuesOf(await pool.run(taskOf('length'), unlimited))).toEqual([3]);
    expect(await outcome).toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
    expect(valuesOf(await pool.run(taskOf('length'), unlimited))).toEqual([3]);
  });

  test('a deadline counts the time in the queue', async () => {
    const pool = newPool();
    await pool.handlers();
    const endless = pool.run(taskOf('endless'), { ...unlimited, deadlineMs: 600 });
    const outcome = endless.catch((error: unknown) => error);
    await expect(
      pool.run(taskOf('length'), { ...unlimited, deadlineMs: 50 }),
    ).rejects.toMatchObject({
      code: 'PAIPAI_ERR_DEADLINE',
    });
    expect(await outcome).toMatchObject({ code: 'PAIPAI_ERR_DEADLINE' });
  });

  test('a handler that minds its signal keeps its worker', async () => {
    const pool = newPool();
    await pool.handlers();
    const abort = new AbortController();
    const waiting = pool.run(taskOf('waitsForSignal'), { ...unlimited, signal: abort.signal });
    setImmediate(() => abort.abort());
    await expect(waiting).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
    expect(valuesOf(await pool.run(taskOf('length'), unlimited))).toEqual([3]);
  });

  test('between its shards a worker hears that its task was aborted, and is kept', async () => {
    const pool = newPool();
    const [thread] = valuesOf(await pool.run(taskOf('takesItsTime'), unlimited));
    const abort = new AbortController();
    const task = taskOf('takesItsTime', Array(200).fill([0]));
    const running = pool.run(task, { ...unlimited, signal: abort.signal });
    setImmediate(() => abort.abort());
    await expect(running).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
    expect(valuesOf(await pool.run(taskOf('takesItsTime'), unlimited))).toEqual([thread]);
    expect(task.shards.filter(({ bytes }) => bytes[0] === 1).length).toBeLessThan(20);
  });

  test.each(['exits', 'rejectsBehindOurBack'])(
    'a handler that %s fails its own task',
    async (handler) => {
      const pool = newPool();
      const lost = pool.run(taskOf(handler), unlimited).catch((error: unknown) => error);
      const next = pool.run(taskOf('length'), unlimited);
      expect(await lost).toMatchObject({ code: 'PAIPAI_ERR_HANDLER_FAILED' });
      expect(valuesOf(await next)).toEqual([3]);
    },
  );

  test('a handler that eats all memory fails its own task', async () => {
    const pool = newPool({ heapMiBMax: 64 });
    await expect(pool.run(taskOf('eatsMemory'), unlimited)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_HANDLER_FAILED',
      message: expect.stringContaining('memory'),
    });
    expect(valuesOf(await pool.run(taskOf('length'), unlimited))).toEqual([3]);
  });

  test('more tasks than may wait are refused', async () => {
    const pool = newPool({ tasksMax: 2 });
    const tasks = Array.from({ length: 3 }, () => pool.run(taskOf('length'), unlimited));
    const settled = await Promise.allSettled(tasks);
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    await expect(tasks[2]).rejects.toMatchObject({ code: 'PAIPAI_ERR_OVERLOADED' });
  });

  test('a worker that cannot be started fails its tasks, and they do not count on', async () => {
    // A function cannot go to another thread.
    const pool = newPool({ tasksMax: 1, workerData: () => 1 });
    const failed = { code: 'PAIPAI_ERR_HANDLER_FAILED' };
    await expect(pool.run(taskOf('length'), unlimited)).rejects.toMatchObject(failed);
    await expect(pool.run(taskOf('length'), unlimited)).rejects.toMatchObject(failed);
    await expect(pool.handlers()).rejects.toMatchObject(failed);
  });

  test('says once when no worker touches a task any more, however it came to its end', async () => {
    const pool = newPool();
    await pool.handlers();
    const heard: string[] = [];
    const told = (name: string): Pick<TaskOptions, 'onReleased'> => ({
      onReleased: () => heard.push(name),
    });
    await pool.run(taskOf('length'), { ...unlimited, ...told('done') });
    expect(heard).toEqual(['done']);
    await pool.run(taskOf('throwsNoError'), { ...unlimited, ...told('failed') }).catch(() => {});
    expect(heard.splice(0)).toEqual(['done', 'failed']);

    const endless = pool
      .run(taskOf('endless'), { ...unlimited, deadlineMs: 300, ...told('ended') })
      .catch(() => {});
    const queued = { ...unlimited, deadlineMs: 50, ...told('never begun') };
    await pool.run(taskOf('length'), queued).catch(() => {});
    expect(heard).toEqual(['never begun']);
    await endless;
    // The caller knows, and the worker has its moment to notice.
    expect(heard).toEqual(['never begun']);
    await pool.run(taskOf('length'), unlimited);
    expect(await reached(2_000, () => heard.includes('ended'))).toBe(true);

    const options = { ...unlimited, signal: AbortSignal.abort(), ...told('aborted before') };
    await pool.run(taskOf('length'), options).catch(() => {});
    const last = pool.run(taskOf('endless'), { ...unlimited, ...told('closed') }).catch(() => {});
    await pool.close();
    await last;
    expect(heard).toEqual(['never begun', 'ended', 'aborted before', 'closed']);
  });

  test('with a signal that has fired, nothing runs', async () => {
    const pool = newPool();
    await expect(
      pool.run(taskOf('length'), { ...unlimited, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'PAIPAI_ERR_ABORTED' });
  });
});

describe('handlers', () => {
  test('lists what the module has, and whether it merges', async () => {
    const infos = await newPool().handlers();
    expect(infos.get('digest')).toEqual({ name: 'digest', merges: false });
    expect(infos.get('byteSum')).toEqual({ name: 'byteSum', merges: true });
    expect(infos.has('notAHandler')).toBe(false);
  });

  test('a module that cannot be loaded fails every task', async () => {
    const pool = newPool({
      workerData: { handlers: 'file:///nowhere/handlers.mjs', engine: 'js' },
    });
    const failed = {
      code: 'PAIPAI_ERR_HANDLER_MODULE',
      message: expect.stringContaining('nowhere'),
    };
    await expect(pool.handlers()).rejects.toMatchObject(failed);
    await expect(pool.run(taskOf('length'), unlimited)).rejects.toMatchObject(failed);
  });
});

describe('close', () => {
  test('ends what runs and what waits', async () => {
    const pool = newPool();
    await pool.handlers();
    const tasks = ['endless', 'length'].map((handler) =>
      pool.run(taskOf(handler), unlimited).catch((error: unknown) => error),
    );
    await pool.close();
    for (const outcome of await Promise.all(tasks))
      expect(outcome).toMatchObject({ code: 'PAIPAI_ERR_CLOSED' });
    await expect(pool.run(taskOf('length'), unlimited)).rejects.toMatchObject({
      code: 'PAIPAI_ERR_CLOSED',
    });
  });
});
