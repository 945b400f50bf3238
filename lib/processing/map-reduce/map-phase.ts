import type { Timer } from '../../base/env.js';
import type { PaipaiError } from '../../base/errors.js';
import { lostShards } from '../../cluster/transfer/lost-shards.js';
import { isCopyFailure, nodeError } from '../../cluster/transfer/node-error.js';
import type { PlacedShard } from '../../cluster/transfer/shard-map.js';
import { Lateness } from '../lateness.js';
import type { ClientJob } from './client-job.js';
import { type JobNode, PhaseTime } from './job-node.js';
import {
  decodeMapAnswer,
  encodeMapRequest,
  type MapAnswer,
  mapMethod,
  shardsPerTaskMax,
} from './messages.js';

/**
 * A task is large enough that what it emits is worth combining, and small enough that nodes of unequal speed end together and that a lost one
 * costs little.
 */
const taskBytesMax = 64 * 1024 * 1024;
const taskBytesMin = 1024 * 1024;
const tasksPerWorker = 4;

interface Attempt {
  /** Unique in the job: it is what tells the outputs on the nodes apart. */
  readonly id: number;
  readonly node: JobNode;
  readonly startMs: number;
  readonly stop: AbortController;
  outputBytes: number;
}

interface Task {
  readonly shards: readonly PlacedShard[];
  readonly bytes: number;
  readonly underWay: Set<Attempt>;
  /** Nodes that hold its shards no more, or not as they were. */
  readonly refusedBy: Set<JobNode>;
  /** The one that counts. */
  done: Attempt | undefined;
}

/**
 * Has every shard mapped on a node where it lies. Of the attempts at a task one counts, whatever happens: the first that comes to its end on
 * a node that stays. When a node goes away, with it go its outputs, and their shards make new tasks for others that hold them.
 */
export class MapPhase {
  readonly time: PhaseTime;
  readonly #job: ClientJob;
  readonly #tasks = new Set<Task>();
  readonly #queues = new Map<JobNode, Task[]>();
  #lastId = 0;
  readonly #lateness = new Lateness();
  /** When the first of the tasks under way will be late for a node that could take it over; Infinity when none will. */
  #lateInMs = Infinity;
  #lateTimer: Timer | undefined;
  retries = 0;
  backups = 0;
  #bytes = 0;
  #shards = 0;
  #localBytes = 0;

  constructor(job: ClientJob) {
    this.#job = job;
    this.time = new PhaseTime(job.env.clock);
    for (const node of job.nodes) this.#queues.set(node, []);
    this.#plan(job.shards);
  }

  /**
   * Settles when the output for every shard lies on a node that is there; again after nodes went away.
   * Fails: PAIPAI_ERR_NODE_LOST for shards that lie on no node any more, and what a map fails with.
   */
  async run(): Promise<void> {
    do {
      for (const node of this.#job.nodes) {
        if (node.isLost) this.#abandon(node);
      }
      await this.time.measure(async () => {
        this.#pump();
        await this.#job.crew.idle();
      });
      this.#lateTimer?.cancel();
      this.#job.findLost();
    } while ([...this.#tasks].some(({ done }) => done === undefined || done.node.isLost));
  }

  /** What has been mapped. */
  counts(): { readonly bytes: number; readonly shards: number } {
    return { bytes: this.#bytes, shards: this.#shards };
  }

  /** Part of what has been mapped that was read on a node where it lies, 0 to 1. */
  get localShare(): number {
    return this.#localBytes / this.#bytes;
  }

  /** The outputs that count, by the node on which they lie. */
  outputs(): Map<JobNode, number[]> {
    const outputs = new Map<JobNode, number[]>();
    for (const { done } of this.#tasks) {
      if (done === undefined) continue;
      const ids = outputs.get(done.node) ?? [];
      ids.push(done.id);
      outputs.set(done.node, ids);
    }
    return outputs;
  }

  /** Makes tasks of shards, each for the one of its holders that has the least to do for each of its workers. */
  #plan(shards: readonly PlacedShard[]): void {
    const shares = new Map<JobNode, { bytes: number; shards: PlacedShard[] }>();
    for (const shard of shards) {
      const holders = this.#job.nodes.filter(
        (node) => !node.isLost && shard.holders.includes(node.link.nodeId),
      );
      const load = (node: JobNode): number => (shares.get(node)?.bytes ?? 0) / node.workers;
      const least = holders.reduce<JobNode | undefined>(
        (best, node) => (best === undefined || load(node) < load(best) ? node : best),
        undefined,
      );
      if (least === undefined) throw this.#nowhere(shards);
      const share = shares.get(least) ?? { bytes: 0, shards: [] };
      share.bytes += shard.bytes;
      share.shards.push(shard);
      shares.set(least, share);
    }
    for (const [node, share] of shares) {
      const aim = share.bytes / (node.workers * tasksPerWorker);
      const bytesMax = Math.max(taskBytesMin, Math.min(taskBytesMax, aim));
      for (const task of tasksOf(share.shards, bytesMax)) {
        this.#tasks.add(task);
        this.#queues.get(node)?.push(task);
      }
    }
  }

  #nowhere(shards: readonly PlacedShard[]): PaipaiError {
    const lost = shards.filter(({ holders }) => !holders.some((id) => this.#isLiving(id)));
    return lostShards(this.#job.dataId, lost);
  }

  /** Makes new tasks of those whose output or only attempt went with the node. */
  #abandon(node: JobNode): void {
    const queue = this.#queues.get(node)?.splice(0) ?? [];
    const gone = [...this.#tasks].filter(({ done, underWay }) => {
      if (done !== undefined) return done.node === node;
      return underWay.size > 0 && [...underWay].every((attempt) => attempt.node.isLost);
    });
    for (const task of gone) {
      this.retries++;
      if (task.done !== undefined) this.#uncount(task, task.done);
    }
    const again = [...gone, ...queue];
    for (const task of again) this.#tasks.delete(task);
    this.#plan(again.flatMap(({ shards }) => shards));
  }

  #pump(): void {
    this.#lateTimer?.cancel();
    this.#lateInMs = Infinity;
    for (let isIdle = false; !isIdle && !this.#job.crew.isStopping; ) {
      isIdle = true;
      // In turns, so that no node takes over from another what that one would have begun now.
      for (const node of this.#job.nodes) {
        const task = node.hasRoom ? this.#next(node) : undefined;
        if (task === undefined) continue;
        isIdle = false;
        this.#attempt(task, node);
      }
    }
    if (this.#lateInMs === Infinity) return;
    this.#lateTimer = this.#job.env.timers.after(this.#lateInMs, () => this.#pump());
  }

  #next(node: JobNode): Task | undefined {
    return this.#queues.get(node)?.shift() ?? this.#takeOver(node) ?? this.#late(node);
  }

  /** A task of another node that has not been begun, when this one holds the shards too. */
  #takeOver(node: JobNode): Task | undefined {
    for (const queue of this.#queues.values()) {
      const at = queue.findLastIndex((task) => holds(node, task));
      if (at >= 0) return queue.splice(at, 1)[0];
    }
    return undefined;
  }

  /** A task that another node is late with. */
  #late(node: JobNode): Task | undefined {
    const { clock } = this.#job.env;
    const lateMs = this.#lateness.lateMs();
    for (const task of this.#tasks) {
      const [attempt, second] = task.underWay;
      if (task.done !== undefined || attempt === undefined || second !== undefined) continue;
      if (attempt.node === node || task.refusedBy.has(node) || !holds(node, task)) continue;
      const leftMs = attempt.startMs + lateMs - clock.nowMs();
      if (leftMs <= 0) {
        this.backups++;
        return task;
      }
      this.#lateInMs = Math.min(this.#lateInMs, leftMs);
    }
    return undefined;
  }

  #attempt(task: Task, node: JobNode): void {
    const { crew, env } = this.#job;
    const attempt: Attempt = {
      id: this.#lastId++,
      node,
      startMs: env.clock.nowMs(),
      stop: new AbortController(),
      outputBytes: 0,
    };
    task.underWay.add(attempt);
    node.underWay++;
    crew.start(async () => {
      let counts = false;
      try {
        counts = await this.#request(task, attempt);
      } catch (thrown) {
        this.#onFailure(task, attempt, thrown);
      } finally {
        task.underWay.delete(attempt);
        node.underWay--;
        this.#pump();
      }
      if (counts) this.#job.tellProgress('map', { ...this.counts(), partitions: 0 });
    });
  }

  /** Whether it is the attempt that counts. */
  async #request(task: Task, attempt: Attempt): Promise<boolean> {
    const { operation, jobId, partitions } = this.#job;
    const { node, stop } = attempt;
    const onEnd = (): void => stop.abort(operation.signal.reason);
    operation.signal.addEventListener('abort', onEnd, { once: true });
    try {
      operation.throwIfFailed();
      const shards = task.shards.map(({ index }) => index);
      const payload = encodeMapRequest({ jobId, taskId: attempt.id, partitions, shards });
      const answer = await this.#job.request(node.link, mapMethod, payload, stop.signal);
      return this.#count(task, attempt, decodeMapAnswer(answer));
    } finally {
      operation.signal.removeEventListener('abort', onEnd);
    }
  }

  #onFailure(task: Task, attempt: Attempt, thrown: unknown): void {
    const { node } = attempt;
    // It was given up because another one was first, or others do its part already.
    if (task.done !== undefined || !this.#tasks.has(task)) return;
    const error = nodeError(node.link, thrown);
    if (this.#job.operation.hasFailed) throw error;
    if (error.code === 'PAIPAI_ERR_NODE_LOST') {
      if (node.isLost) return;
      node.isLost = true;
      this.#abandon(node);
      return;
    }
    const { shardIndex } = error;
    if (!isCopyFailure(error) || shardIndex === undefined) throw error;
    this.#job.tellCopyFailure(shardIndex, node.link.nodeId);
    if (!this.#moveOn(task, attempt, shardIndex)) throw error;
  }

  /** Leaves a task to others when a node has one of its shards no more; false when nobody else has it. */
  #moveOn(task: Task, { node }: Attempt, shardIndex: number): boolean {
    task.refusedBy.add(node);
    if ([...task.underWay].some((other) => other.node !== node && !other.node.isLost)) return true;
    const { nodeId } = node.link;
    const shards = task.shards.map((shard) =>
      shard.index === shardIndex
        ? { ...shard, holders: shard.holders.filter((id) => id !== nodeId) }
        : shard,
    );
    if (!shards.every(({ holders }) => holders.some((id) => this.#isLiving(id)))) return false;
    this.retries++;
    this.#tasks.delete(task);
    this.#plan(shards);
    return true;
  }

  #isLiving(nodeId: string): boolean {
    return this.#job.nodes.some(({ isLost, link }) => !isLost && link.nodeId === nodeId);
  }

  /** The first attempt that comes to its end counts; the others are given up. */
  #count(task: Task, attempt: Attempt, { timeMs, outputBytes, spilledBytes }: MapAnswer): boolean {
    const { node, startMs } = attempt;
    node.spilledBytes = Math.max(node.spilledBytes, spilledBytes);
    if (task.done !== undefined || node.isLost || !this.#tasks.has(task)) return false;
    task.done = attempt;
    attempt.outputBytes = outputBytes;
    for (const other of task.underWay) if (other !== attempt) other.stop.abort();
    this.#lateness.add(this.#job.env.clock.nowMs() - startMs);
    node.map.add(task.bytes, timeMs);
    node.emittedBytes += outputBytes;
    this.#bytes += task.bytes;
    this.#shards += task.shards.length;
    this.#localBytes += localBytesOf(task, node);
    return true;
  }

  /** Takes back what `#count` has added, when the output is gone. */
  #uncount(task: Task, { node, outputBytes }: Attempt): void {
    node.map.remove(task.bytes);
    node.emittedBytes -= outputBytes;
    this.#bytes -= task.bytes;
    this.#shards -= task.shards.length;
    this.#localBytes -= localBytesOf(task, node);
  }
}

function holds(node: JobNode, task: Task): boolean {
  return localBytesOf(task, node) === task.bytes;
}

function localBytesOf({ shards }: Task, { link }: JobNode): number {
  let bytes = 0;
  for (const shard of shards) if (shard.holders.includes(link.nodeId)) bytes += shard.bytes;
  return bytes;
}

function tasksOf(shards: readonly PlacedShard[], bytesMax: number): Task[] {
  const tasks: Task[] = [];
  let own: PlacedShard[] = [];
  let bytes = 0;
  const finish = (): void => {
    if (own.length > 0) {
      tasks.push({
        shards: own,
        bytes,
        underWay: new Set(),
        refusedBy: new Set(),
        done: undefined,
      });
    }
    own = [];
    bytes = 0;
  };
  for (const shard of shards) {
    if (bytes + shard.bytes > bytesMax || own.length === shardsPerTaskMax) finish();
    own.push(shard);
    bytes += shard.bytes;
  }
  finish();
  return tasks;
}
