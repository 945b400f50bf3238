import { setMaxListeners } from 'node:events';
import type { Env } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import type { MapFences } from '../cluster/transfer/map-fences.js';
import type { PeerStream } from '../session/types.js';
import type { ShardLease, ShardStore } from '../store/store.js';
import { planBatches } from './batches.js';
import type { JobLimits } from './job-limits.js';
import {
  decodeMergeRequest,
  decodeProcessRequest,
  encodeProcessTrailer,
  type ProcessRequest,
} from './messages.js';
import { PartBudget, readParts, writePart } from './part-stream.js';
import type { HandlerInfo, RunTask } from './worker-messages.js';
import type { WorkerPool } from './worker-pool.js';

/** The node's side of processing: batches of leased shards go to the workers, value parts go back to the caller. */

/** Value parts that wait for merges in this process, of all callers together. */
const mergeBudget = new PartBudget(512 * 1024 * 1024);

export interface ProcessingContext {
  readonly env: Env;
  readonly store: ShardStore;
  readonly pool: WorkerPool;
  /** Of the client. */
  readonly limits: JobLimits;
  /** Undefined where nobody else sees what lies here. */
  readonly fences: MapFences | undefined;
}

/** @throws PaipaiError PAIPAI_ERR_HANDLER_UNKNOWN, PAIPAI_ERR_HANDLER_MODULE. */
export async function findHandler(pool: WorkerPool, name: string): Promise<HandlerInfo> {
  const handlers = await pool.handlers();
  const handler = handlers.get(name);
  if (handler !== undefined) return handler;
  throw new PaipaiError(
    'PAIPAI_ERR_HANDLER_UNKNOWN',
    `no handler '${name}' is registered; there are: ${[...handlers.keys()].join(', ')}`,
    { handler: name },
  );
}

/** @throws PaipaiError PAIPAI_ERR_UNKNOWN_DATA when one is not here; no other is leased then. */
export async function leaseShards(
  store: ShardStore,
  { dataId, version, shards }: Pick<ProcessRequest, 'dataId' | 'version' | 'shards'>,
): Promise<ShardLease[]> {
  const leases: ShardLease[] = [];
  try {
    for (const index of shards) {
      const lease = await store.get({ dataId, version, index });
      if (lease === undefined) {
        throw new PaipaiError(
          'PAIPAI_ERR_UNKNOWN_DATA',
          `this node has no shard ${index} of data ${dataId}`,
          { dataId, shardIndex: index },
        );
      }
      leases.push(lease);
    }
    return leases;
  } catch (thrown) {
    for (const held of leases) held.release();
    throw thrown;
  }
}

function tasksOf(
  request: ProcessRequest,
  leases: readonly ShardLease[],
  workers: number,
): RunTask[] {
  const { handler, dataId, nodeId, args } = request;
  const sizes = leases.map(({ bytes }) => bytes);
  return planBatches(sizes, workers).map(({ start, end }) => ({
    kind: 'run',
    handler,
    dataId,
    nodeId,
    args,
    shards: leases.slice(start, end).map(({ key, view }) => ({ index: key.index, bytes: view })),
  }));
}

/** Answers `data.process`. */
export async function serveProcess(stream: PeerStream, context: ProcessingContext): Promise<void> {
  const { env, store, pool, limits, fences } = context;
  const request = decodeProcessRequest(stream.metadata);
  fences?.checkUse(request, request.mapVersion);
  const endMs = env.clock.nowMs() + request.deadlineMs;
  const { merges } = await findHandler(pool, request.handler);
  const leases = await leaseShards(store, request);
  // The first failure stops the other batches of this request, and so does the caller.
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // One for each batch under way.
  const onAbort = (): void => stop.abort();
  stream.signal.addEventListener('abort', onAbort, { once: true });
  if (stream.signal.aborted) onAbort();
  const turns = limits.enter(request.limit);
  try {
    const atOnce = Math.min(pool.size, request.limit?.concurrency ?? Infinity);
    const tasks = tasksOf(request, leases, atOnce);
    const merging: Uint8Array[] = [];
    let timeMs = 0;
    const takeTasks = async (): Promise<void> => {
      for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
        const onReleased = await turns.take(stop.signal);
        const deadlineMs = endMs - env.clock.nowMs();
        const result = await pool.run(task, { deadlineMs, signal: stop.signal, onReleased });
        timeMs += result.timeMs;
        if (merges) merging.push(result.part);
        else await writePart(stream, result.part);
      }
    };
    // Twice as many batches as run at once: one runs, the next is already there.
    const lines = Array.from({ length: atOnce * 2 }, takeTasks);
    await Promise.all(lines).catch(async (error: unknown) => {
      stop.abort();
      await Promise.allSettled(lines);
      throw error;
    });
    if (merges) {
      const deadlineMs = endMs - env.clock.nowMs();
      const merged = await mergeParts(pool, request.handler, merging, deadlineMs, stop.signal);
      timeMs += merged.timeMs;
      await writePart(stream, merged.part);
    }
    stream.signal.throwIfAborted();
    if (request.drop) fences?.checkChange(request, request.mapVersion);
    if (request.drop) await Promise.all(leases.map(({ key }) => store.drop(key)));
    stream.end(encodeProcessTrailer({ timeMs, merges }));
  } finally {
    stream.signal.removeEventListener('abort', onAbort);
    turns.leave();
    for (const lease of leases) lease.release();
  }
}

async function mergeParts(
  pool: WorkerPool,
  handler: string,
  parts: readonly Uint8Array[],
  deadlineMs: number,
  signal: AbortSignal,
): Promise<{ part: Uint8Array; timeMs: number }> {
  const [first] = parts;
  if (first === undefined)
    throw new PaipaiError('PAIPAI_ERR_PROTOCOL', 'there is nothing to merge');
  if (parts.length === 1) return { part: first, timeMs: 0 };
  return pool.run({ kind: 'merge', handler, parts }, { deadlineMs, signal });
}

/** Answers `data.merge`: the parts that come in become one. */
export async function serveMerge(stream: PeerStream, context: ProcessingContext): Promise<void> {
  const { env, pool } = context;
  const request = decodeMergeRequest(stream.metadata);
  const endMs = env.clock.nowMs() + request.deadlineMs;
  const hold = mergeBudget.hold();
  try {
    const parts = await readParts(stream, { hold });
    const { merges } = await findHandler(pool, request.handler);
    const deadlineMs = endMs - env.clock.nowMs();
    const merged = await mergeParts(pool, request.handler, parts, deadlineMs, stream.signal);
    await writePart(stream, merged.part);
    stream.end(encodeProcessTrailer({ timeMs: merged.timeMs, merges }));
  } finally {
    hold.release();
  }
}
