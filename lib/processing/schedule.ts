import type { Env, Timer } from '../base/env.js';
import { PaipaiError } from '../base/errors.js';
import type { Balancer, TaskOutcome } from '../cluster/balancing/balancer.js';
import { lostShards } from '../cluster/transfer/lost-shards.js';
import { isCopyFailure } from '../cluster/transfer/node-error.js';
import type { Operation } from '../cluster/transfer/operation.js';
import type { ShardCut } from '../data/shard.js';
import { type Crew, failureOf } from './crew.js';
import {
  type Attempt,
  type HeldCut,
  type Item,
  Lane,
  type Lot,
  requestBytesMax,
  type Task,
} from './lane.js';
import { Lateness } from './lateness.js';
import type { NodeProcessing } from './node-processing.js';

export interface ScheduleOptions {
  readonly env: Env;
  readonly operation: Operation;
  /** Has the requests of all nodes under way, and ends the operation when some fail. */
  readonly crew: Crew;
  readonly dataId: string;
  readonly nodes: readonly NodeProcessing[];
  /** Says which of its holders gets a shard. */
  readonly balancer: Balancer;
  /** Above 0. */
  readonly weightOf: (nodeId: string) => number;
  /** Busy part of the CPUs of a node, 0 to 1, when it has said so. */
  readonly cpuLoadOf: (nodeId: string) => number | undefined;
  /** Whether a node that has nothing to do takes over what another one has not begun. */
  readonly takesOver: boolean;
  /** Whether it begins, too, what another one is late with. */
  readonly backups: boolean;
  /** How often a shard is tried again when its handler has failed. */
  readonly retries: number;
  /** Hears of shards whose values count, each once. */
  readonly onProcessed: (cuts: readonly ShardCut[]) => void;
  /** Hears of a shard that the node was thought to hold whole, and does not. */
  readonly onCopyFailure: (cut: ShardCut, nodeId: string) => void;
}

/** While the node works on one request, the next is already there. */
const requestsInFlightMax = 2;

/**
 * Has each shard processed by a node that holds it. One that lies on a single node goes there; of the others a few at a time are given away, as
 * nodes have room, to the one of their holders that the strategy says. Requests for them are short where a node is slow, a node with nothing to do
 * takes over what another one has not begun, and begins a second time what another one is late with.
 *
 * Each shard counts once: with the first request that brings its value. A request in which one of the shards counts already counts for
 * none of them, for values may be merged, and its other shards are done again.
 */
export class Schedule {
  readonly #options: ScheduleOptions;
  readonly #lanes: readonly Lane[];
  readonly #laneOf: ReadonlyMap<string, Lane>;
  readonly #lots = new Set<Lot>();
  readonly #lateness = new Lateness();
  #hasShared = false;
  /** Shared shards that nobody has. */
  #openCount = 0;
  /** When the first of the requests under way will be late for a node that could take it over; Infinity when none will. */
  #lateInMs = Infinity;
  #lateTimer: Timer | undefined;
  /** Shards that were given away anew because their node or their handler failed. */
  retries = 0;
  /** Shards that were begun a second time. */
  backups = 0;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    this.#lanes = options.nodes.map((node) => new Lane(node, options.weightOf(node.link.nodeId)));
    this.#laneOf = new Map(this.#lanes.map((lane) => [lane.id, lane]));
  }

  /** Settles when the values of the shards, 1 or more, count; fails with the whole operation. */
  process(shards: readonly HeldCut[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const lot = { leftCount: shards.length, resolve, reject };
      this.#lots.add(lot);
      for (const shard of shards) this.#take(shard, lot);
      this.#pump();
    });
  }

  /** Where parts of several nodes are merged, of `nodes` of the schedule, 1 or more. */
  mergerOf(nodes: readonly NodeProcessing[]): NodeProcessing {
    const lanes = this.#lanes.filter(({ node }) => nodes.includes(node));
    const there = lanes.filter(({ isThere }) => isThere);
    const { nodeId } = this.#options.balancer.assign(there.length > 0 ? there : lanes);
    return (this.#laneOf.get(nodeId) as Lane).node; // The balancer gives one of those it was given.
  }

  /** Gives up everything, with `error`. */
  stop(error: Error): void {
    this.#lateTimer?.cancel();
    for (const { node, attempts } of this.#lanes) {
      node.stop(error);
      for (const attempt of attempts) attempt.stop.abort(error);
    }
    for (const lot of this.#lots) lot.reject(error);
    this.#lots.clear();
  }

  #take(shard: HeldCut, lot: Lot): void {
    const lanes = this.#holdersOf(shard);
    const item: Item = {
      shard,
      lot,
      isShared: lanes.length > 1,
      isGiven: false,
      isDone: false,
      underWay: [],
      refusedBy: [],
      failedOn: [],
      lateOn: [],
      failures: [],
    };
    if (item.isShared) {
      this.#hasShared = true;
      this.#openCount++;
      for (const lane of lanes) lane.offer(item);
    } else {
      this.#give(item);
    }
  }

  #holdersOf({ holders }: HeldCut): Lane[] {
    return holders.flatMap((id) => this.#laneOf.get(id) ?? []);
  }

  /** Who may do it: those who have not failed with it, as long as there are any. */
  #takersOf(item: Item): Lane[] {
    const lanes = this.#holdersOf(item.shard).filter(
      (lane) => lane.isThere && !item.refusedBy.includes(lane),
    );
    const sound = lanes.filter((lane) => !item.failedOn.includes(lane));
    const prompt = sound.filter((lane) => !item.lateOn.includes(lane));
    return [prompt, sound].find(({ length }) => length > 0) ?? lanes;
  }

  /** Whether a node may do what another one, `from`, has: one that was late with it only when nobody else can. */
  #canDo(lane: Lane, item: Item, from: Lane): boolean {
    const { shard, refusedBy, failedOn, lateOn } = item;
    const canTake = (one: Lane): boolean =>
      one !== from && one.isThere && !refusedBy.includes(one) && !failedOn.includes(one);
    if (!shard.holders.includes(lane.id) || !canTake(lane)) return false;
    return (
      !lateOn.includes(lane) ||
      this.#holdersOf(shard).every((one) => lateOn.includes(one) || !canTake(one))
    );
  }

  /** Puts an item into the queue of the node that the strategy says. */
  #give(item: Item, atFront = false): void {
    const takers = this.#takersOf(item);
    // Where nobody is there, the first who was: what is asked of it says what became of it.
    const lanes = takers.length > 0 ? takers : this.#holdersOf(item.shard).slice(0, 1);
    if (lanes.length === 0) throw lostShards(this.#options.dataId, [item.shard]);
    const assignment = this.#options.balancer.assign(lanes);
    const queue = (this.#laneOf.get(assignment.nodeId) as Lane).queue; // It is one of `lanes`.
    if (item.isShared && !item.isGiven) this.#openCount--;
    item.isGiven = true;
    if (atFront) queue.unshift({ item, assignment });
    else queue.push({ item, assignment });
  }

  #pump(): void {
    const { operation, crew, env } = this.#options;
    // What comes after the end of the operation has nobody to wait for.
    if (operation.hasFailed) this.stop(operation.signal.reason);
    this.#lateTimer?.cancel();
    this.#lateInMs = Infinity;
    this.#tellLoads();
    for (let isIdle = false; !isIdle && !crew.isStopping; ) {
      isIdle = true;
      // In turns, so that no node takes over from another what that one would have begun now.
      for (const lane of this.#lanes) {
        if (lane.requestsInFlight >= requestsInFlightMax) continue;
        const tasks = this.#next(lane);
        if (tasks.length === 0) continue;
        isIdle = false;
        this.#begin(lane, tasks);
      }
    }
    if (crew.isStopping) return;
    this.#checkOpen();
    if (this.#lateInMs === Infinity) return;
    this.#lateTimer = env.timers.after(this.#lateInMs, () => this.#pump());
  }

  /** @throws PaipaiError PAIPAI_ERR_NODE_LOST when shards are left that nobody will begin: their nodes are gone. */
  #checkOpen(): void {
    if (this.#openCount === 0) return;
    if (this.#lanes.some(({ requestsInFlight }) => requestsInFlight > 0)) return;
    const open = new Set(this.#lanes.flatMap((lane) => lane.open()));
    throw lostShards(
      this.#options.dataId,
      Array.from(open, ({ shard }) => shard),
    );
  }

  #tellLoads(): void {
    const { balancer, cpuLoadOf } = this.#options;
    for (const { id } of this.#lanes) {
      const load = cpuLoadOf(id);
      if (load !== undefined) balancer.reportCpuLoad(id, load);
    }
  }

  #next(lane: Lane): Task[] {
    const countMax = this.#hasShared ? this.#sharedCountOf(lane) : 1;
    while (lane.isThere && lane.queue.length < countMax) {
      const item = lane.nextOpen();
      if (item === undefined) break;
      this.#give(item);
    }
    if (lane.queue.length > 0) return lane.takeQueued(countMax);
    if (!this.#hasShared || !lane.isThere) return [];
    const taken = this.#takeOver(lane, countMax);
    return taken.length > 0 ? taken : this.#late(lane, countMax);
  }

  /** At the end little at a time, so that nodes come to theirs together. */
  #sharedCountOf({ sharedCountMax }: Lane): number {
    let leftCount = this.#openCount;
    for (const { queue } of this.#lanes) leftCount += queue.length;
    return Math.max(1, Math.min(sharedCountMax, Math.ceil(leftCount / this.#lanes.length)));
  }

  /** Shards that another node has not begun, when this one holds them too: from the end of the longest queue, at most half of it. */
  #takeOver(lane: Lane, countMax: number): Task[] {
    if (!this.#options.takesOver) return [];
    const others = this.#lanes
      .filter(({ queue }) => queue.at(-1)?.item.isShared === true)
      .sort((a, b) => b.queue.length - a.queue.length);
    for (const other of others) {
      const { queue } = other;
      const count = Math.min(countMax, Math.ceil(queue.length / 2));
      const taken: Item[] = [];
      let bytes = 0;
      for (let at = queue.length - 1; at >= 0 && taken.length < count; at--) {
        const { item, assignment } = queue[at] as Task; // There is one below the length.
        if (!item.isShared) break;
        if (item.failures.length > 0 || !this.#canDo(lane, item, other)) continue;
        bytes += item.shard.bytes;
        if (taken.length > 0 && bytes > requestBytesMax) break;
        queue.splice(at, 1);
        assignment.end('cancelled');
        taken.push(item);
      }
      if (taken.length > 0) return this.#assignTo(lane, taken.reverse());
    }
    return [];
  }

  /** Shards that another node is late with. */
  #late(lane: Lane, countMax: number): Task[] {
    const { backups, env } = this.#options;
    if (!backups) return [];
    const nowMs = env.clock.nowMs();
    for (const other of this.#lanes) {
      for (const { tasks, startMs } of other === lane ? [] : other.attempts) {
        const items = tasks.flatMap(({ item }) =>
          item.underWay.length === 1 && this.#canDo(lane, item, other) ? [item] : [],
        );
        if (items.length === 0) continue;
        const leftMs = startMs + this.#lateness.lateMs(tasks.length) - nowMs;
        if (leftMs <= 0) {
          const taken = items.slice(0, countMax);
          this.backups += taken.length;
          return this.#assignTo(lane, taken);
        }
        this.#lateInMs = Math.min(this.#lateInMs, leftMs);
      }
    }
    return [];
  }

  #assignTo(lane: Lane, items: readonly Item[]): Task[] {
    return items.map((item) => ({ item, assignment: this.#options.balancer.assign([lane]) }));
  }

  #begin(lane: Lane, tasks: readonly Task[]): void {
    const { crew, env } = this.#options;
    const attempt: Attempt = {
      lane,
      tasks,
      startMs: env.clock.nowMs(),
      stop: new AbortController(),
      isGivenUp: false,
    };
    lane.attempts.add(attempt);
    lane.requestsInFlight++;
    for (const { item } of tasks) item.underWay.push(attempt);
    crew.start(async () => {
      try {
        await this.#perform(attempt);
      } finally {
        lane.requestsInFlight--;
      }
      this.#pump();
    });
  }

  async #perform(attempt: Attempt): Promise<void> {
    const { lane, tasks, stop } = attempt;
    const cuts = tasks.map(({ item }) => item.shard);
    let parts: Uint8Array[];
    try {
      parts = await lane.node.request(cuts, stop.signal);
    } catch (thrown) {
      this.#onFailure(attempt, thrown);
      return;
    }
    if (!this.#count(attempt)) return;
    await lane.node.keep(cuts, parts);
    this.#options.onProcessed(cuts);
    for (const { item } of tasks) this.#settle(item.lot);
  }

  #settle(lot: Lot): void {
    if (--lot.leftCount > 0) return;
    this.#lots.delete(lot);
    lot.resolve();
  }

  /** Whether what it has come to counts: others that are at some of its shards are given up then. */
  #count(attempt: Attempt): boolean {
    if (attempt.isGivenUp) return false;
    const { lane, tasks, startMs } = attempt;
    this.#end(attempt, 'done');
    const tookMs = this.#options.env.clock.nowMs() - startMs;
    this.#lateness.add(tookMs, tasks.length);
    lane.onAnswer(tasks.length, tasks[0]?.item.isShared === true, tookMs);
    for (const { item } of tasks) item.isDone = true;
    for (const { item } of tasks) for (const other of [...item.underWay]) this.#giveUp(other);
    return true;
  }

  /** One that is at a shard which counts already. */
  #giveUp(attempt: Attempt): void {
    attempt.isGivenUp = true;
    this.#end(attempt, 'cancelled');
    attempt.stop.abort(new PaipaiError('PAIPAI_ERR_ABORTED', 'another node was first'));
    const items = attempt.tasks.map(({ item }) => item);
    for (const { lateOn } of items) lateOn.push(attempt.lane);
    this.#giveAgain(items);
  }

  #end(attempt: Attempt, outcome: TaskOutcome): void {
    attempt.lane.attempts.delete(attempt);
    for (const { item, assignment } of attempt.tasks) {
      item.underWay.splice(item.underWay.indexOf(attempt), 1);
      assignment.end(outcome);
    }
  }

  /** Gives away what nobody is at. */
  #giveAgain(items: readonly Item[], atFront = true): void {
    for (const item of items) {
      if (!item.isDone && item.underWay.length === 0) this.#give(item, atFront);
    }
  }

  /** Of a request that failed nothing counts. */
  #onFailure(attempt: Attempt, thrown: unknown): void {
    if (attempt.isGivenUp) return;
    const { operation, onCopyFailure } = this.#options;
    const { lane, tasks } = attempt;
    this.#end(attempt, 'failed');
    if (operation.hasFailed || !(thrown instanceof PaipaiError)) throw thrown;
    const items = tasks.map(({ item }) => item);
    const named = items.filter(({ shard }) => shard.index === thrown.shardIndex);
    const failed = named.length > 0 ? named : items;
    if (thrown.code === 'PAIPAI_ERR_NODE_LOST') {
      this.#leave(lane, items, thrown);
    } else if (thrown.code === 'PAIPAI_ERR_HANDLER_FAILED') {
      this.#tryAgain(failed, lane, thrown);
      lane.onHandlerFailure(items.length);
    } else {
      if (!isCopyFailure(thrown)) throw thrown;
      for (const { shard } of named) onCopyFailure(shard, lane.id);
      for (const item of failed) item.refusedBy.push(lane);
      this.#handOver(failed, thrown);
      this.retries += failed.length;
    }
    this.#giveAgain(items);
  }

  /** Leaves what a node has to others. */
  #leave(lane: Lane, items: readonly Item[], error: PaipaiError): void {
    lane.isLost = true;
    const waiting = lane.queue.splice(0);
    for (const { assignment } of waiting) assignment.end('cancelled');
    const queued = waiting.map(({ item }) => item);
    this.#handOver([...items, ...queued, ...lane.open()], error);
    this.retries += items.length;
    this.#giveAgain(queued, false);
  }

  /** Looks whether others can do them. @throws `error` when nobody can do one that nobody is at. */
  #handOver(items: readonly Item[], error: PaipaiError): void {
    for (const item of items) {
      if (item.underWay.length === 0 && this.#takersOf(item).length === 0) throw error;
    }
  }

  /** Counts the failures of handlers. @throws PaipaiError with all of them, of the first shard for which they are too many. */
  #tryAgain(items: readonly Item[], lane: Lane, error: PaipaiError): void {
    for (const item of items) {
      item.failures.push(error);
      item.failedOn.push(lane);
      if (item.failures.length > this.#options.retries) throw failureOf(item.failures);
      this.retries++;
    }
  }
}
