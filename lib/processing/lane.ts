import type { PaipaiError } from '../base/errors.js';
import type { Assignment } from '../cluster/balancing/balancer.js';
import type { ShardCut } from '../data/shard.js';
import type { NodeProcessing } from './node-processing.js';

/** A shard, and the ids of the nodes that hold it: 1 or more. */
export interface HeldCut extends ShardCut {
  readonly holders: readonly string[];
}

/** The shards of one call of `process`, which settle together. */
export interface Lot {
  leftCount: number;
  resolve(): void;
  reject(error: Error): void;
}

export interface Item {
  readonly shard: HeldCut;
  readonly lot: Lot;
  /** Several nodes could do it. */
  readonly isShared: boolean;
  /** Some node has it in its queue or is at it, or it is done. */
  isGiven: boolean;
  isDone: boolean;
  readonly underWay: Attempt[];
  /** Nodes that do not have it any more, or not whole. */
  readonly refusedBy: Lane[];
  /** Nodes whose handler failed with it: others come first. */
  readonly failedOn: Lane[];
  /** Nodes that were at it when another one was first with a shard of the same request: others come first. */
  readonly lateOn: Lane[];
  /** How handlers failed with it. */
  readonly failures: PaipaiError[];
}

/** An item that is given to a node. */
export interface Task {
  readonly item: Item;
  readonly assignment: Assignment;
}

/** One request to a node. What it comes to counts as a whole, or not at all. */
export interface Attempt {
  readonly lane: Lane;
  readonly tasks: readonly Task[];
  readonly startMs: number;
  readonly stop: AbortController;
  /** Others were first. */
  isGivenUp: boolean;
}

/** One request works on at most this much, so that progress shows and an answer stays small. */
export const requestBytesMax: number = 32 * 1024 * 1024;
const requestShardsMax = 1_024;
/** How long a request should take whose shards others could do as well: whatever is in it does not go to those that are faster. */
const requestMsAim = 100;
/** How many shards the first one has. */
const sharedCountFirst = 2;

/** A node, as the schedule sees it. */
export class Lane {
  readonly id: string;
  readonly weight: number;
  readonly node: NodeProcessing;
  /** Given to it, and not begun. */
  readonly queue: Task[] = [];
  /** What it could do and nobody has been given; what was given since is passed over. */
  readonly #open: Item[] = [];
  #openAt = 0;
  readonly attempts: Set<Attempt> = new Set();
  /** Requests whose answer, or end, is awaited. */
  requestsInFlight = 0;
  /** Shards in one request: of those that others could do as well, and of those that lie here alone. */
  sharedCountMax: number = sharedCountFirst;
  #ownCountMax = requestShardsMax;
  /** It went away, or is about to. */
  isLost = false;

  constructor(node: NodeProcessing, weight: number) {
    this.id = node.link.nodeId;
    this.node = node;
    this.weight = weight;
  }

  get isThere(): boolean {
    return !this.isLost && this.node.isThere;
  }

  offer(item: Item): void {
    this.#open.push(item);
  }

  /** The next of what was offered that nobody has. */
  nextOpen(): Item | undefined {
    while (this.#openAt < this.#open.length) {
      const item = this.#open[this.#openAt++];
      if (item?.isGiven === false) return item;
    }
    return undefined;
  }

  /** What it could do and nobody has been given. */
  open(): Item[] {
    return this.#open.slice(this.#openAt).filter(({ isGiven }) => !isGiven);
  }

  /**
   * The next request, out of the queue, which holds something: shards that others could do as well, at most `sharedCountMax`, or such as lie here
   * alone. One with which a handler has failed goes by itself.
   */
  takeQueued(sharedCountMax: number): Task[] {
    const first = (this.queue[0] as Task).item; // It has one.
    const countMax = first.isShared ? sharedCountMax : this.#ownCountMax;
    let bytes = 0;
    let count = 0;
    for (const { item } of this.queue) {
      bytes += item.shard.bytes;
      const isAlike = item.isShared === first.isShared && item.failures.length === 0;
      if (count > 0 && (bytes > requestBytesMax || count >= countMax || !isAlike)) break;
      count++;
      if (item.failures.length > 0) break;
    }
    return this.queue.splice(0, count);
  }

  /** A request for `count` shards was answered: makes the next ones as long as they should be. */
  onAnswer(count: number, isShared: boolean, tookMs: number): void {
    if (!isShared) {
      this.#ownCountMax = Math.min(requestShardsMax, 2 * this.#ownCountMax);
    } else if (tookMs < requestMsAim / 2) {
      this.sharedCountMax = Math.min(requestShardsMax, Math.max(this.sharedCountMax, 4 * count));
    } else if (tookMs > 2 * requestMsAim) {
      this.sharedCountMax = Math.max(1, Math.ceil(Math.min(this.sharedCountMax, count) / 2));
    }
  }

  /** A handler failed with one of the `count` shards of a request: one more that fails should cost less. */
  onHandlerFailure(count: number): void {
    this.#ownCountMax = Math.max(1, Math.ceil(count / 2));
    this.sharedCountMax = Math.max(1, Math.ceil(this.sharedCountMax / 2));
  }
}
