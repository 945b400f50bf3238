import { isPaipaiError, PaipaiError, toError } from '../base/errors.js';
import { isCopyFailure, nodeError } from '../cluster/transfer/node-error.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Operation } from '../cluster/transfer/operation.js';
import type { ShardCut } from '../data/shard.js';
import type { PeerStream } from '../session/types.js';
import {
  decodeProcessTrailer,
  encodeMergeRequest,
  encodeProcessRequest,
  mergeMethod,
  processMethod,
} from './messages.js';
import { readParts, writePart } from './part-stream.js';

/** One call of `process`: the same for every node. */
export interface ProcessingJob {
  readonly operation: Operation;
  readonly dataId: string;
  readonly version: bigint;
  readonly handler: string;
  /** Encoded; undefined when the caller passed none. */
  readonly args: Uint8Array | undefined;
  /** Nodes give each shard back as soon as it is processed. */
  readonly drop: boolean;
  readonly onProcessed: (cuts: readonly ShardCut[]) => void;
  /** Who else holds the shard and is there, of those that have not failed with it; undefined when nobody does. */
  readonly takerOf: (cut: ShardCut, failedIds: ReadonlySet<string>) => NodeProcessing | undefined;
  /** Hears of a shard that the node was thought to hold whole, and does not. */
  readonly onCopyFailure: (cut: ShardCut, nodeId: string) => void;
  /** Another one that is there and can merge for one that is not. */
  readonly standIn: (gone: NodeProcessing) => NodeProcessing | undefined;
}

interface Item {
  readonly cut: ShardCut;
  /** Nodes that could not process it. */
  readonly failedIds: Set<string>;
  settle(error?: Error): void;
}

/** One request works on at most this much, so that progress shows and an answer stays small. */
const requestBytesMax = 32 * 1024 * 1024;
const requestShardsMax = 1_024;
/** While the node works on one request, the next is already there. */
const requestsInFlightMax = 2;
/** Merged parts that wait here before the node makes one of them. */
const partsMax = 32;

/** Has one node process shards that lie there, and gathers what came of them. */
export class NodeProcessing {
  readonly link: NodeLink;
  readonly #job: ProcessingJob;
  readonly #queue: Item[] = [];
  readonly #streams = new Set<PeerStream>();
  #requestsInFlight = 0;
  readonly #parts: Uint8Array[] = [];
  merges = false;
  shards = 0;
  bytes = 0;
  /** Milliseconds that handlers ran on the node, summed over its workers. */
  timeMs = 0;

  constructor(link: NodeLink, job: ProcessingJob) {
    this.link = link;
    this.#job = job;
  }

  /** Value parts so far: of a handler that merges few, of another one for each request or more. */
  get parts(): readonly Uint8Array[] {
    return this.#parts;
  }

  /** Settles when the node has processed the shards, at least one; the first failure ends the whole operation. */
  process(cuts: readonly ShardCut[]): Promise<void> {
    return new Promise((resolve, reject) => {
      let leftCount = cuts.length;
      const settle = (error?: Error): void => {
        if (error !== undefined) reject(error);
        else if (--leftCount === 0) resolve();
      };
      for (const cut of cuts) this.#queue.push({ cut, failedIds: new Set(), settle });
      this.#pump();
    });
  }

  /** Makes one part of all, when the handler merges. */
  async fold(): Promise<void> {
    if (!this.merges || this.#parts.length < 2) return;
    // Taken out first: parts of other requests arrive meanwhile.
    const merged = await this.mergeParts(this.#parts.splice(0));
    this.#parts.push(merged);
  }

  /** Has the node merge `parts`, its own or those of several nodes; another one when it went away. */
  async mergeParts(parts: readonly Uint8Array[]): Promise<Uint8Array> {
    const { handler, operation, standIn } = this.#job;
    const deadlineMs = operation.remainingMs();
    const request = encodeMergeRequest({ handler, deadlineMs });
    let part: Uint8Array | undefined;
    try {
      [part] = await this.#call(mergeMethod, request, parts);
    } catch (thrown) {
      const other = isPaipaiError(thrown, 'PAIPAI_ERR_NODE_LOST') ? standIn(this) : undefined;
      if (other === undefined || operation.hasFailed) throw thrown;
      return other.mergeParts(parts);
    }
    if (part === undefined) {
      throw new PaipaiError(
        'PAIPAI_ERR_PROTOCOL',
        `node ${this.link.nodeId} merged, but sent no value`,
      );
    }
    return part;
  }

  /** Gives up what is under way. */
  stop(error: Error): void {
    for (const stream of this.#streams) stream.reset(error);
    for (const item of this.#queue.splice(0)) item.settle(error);
  }

  #pump(): void {
    while (this.#requestsInFlight < requestsInFlightMax && this.#queue.length > 0) {
      const items = this.#queue.splice(0, this.#nextCount());
      this.#requestsInFlight++;
      void this.#request(items).finally(() => {
        this.#requestsInFlight--;
        this.#pump();
      });
    }
  }

  #nextCount(): number {
    let bytes = 0;
    let count = 0;
    for (const { cut } of this.#queue) {
      bytes += cut.bytes;
      if (count > 0 && (bytes > requestBytesMax || count === requestShardsMax)) break;
      count++;
    }
    return count;
  }

  async #request(items: readonly Item[]): Promise<void> {
    const { operation, onProcessed } = this.#job;
    try {
      const parts = await this.#processItems(items);
      if (parts === undefined) return;
      this.#parts.push(...parts);
      if (this.#parts.length >= partsMax) await this.fold();
      const cuts = items.map(({ cut }) => cut);
      this.shards += cuts.length;
      for (const { bytes } of cuts) this.bytes += bytes;
      onProcessed(cuts);
      for (const item of items) item.settle();
    } catch (thrown) {
      const error = toError(thrown);
      operation.fail(error);
      for (const item of items) item.settle(error);
    }
  }

  /** What came of them; undefined when others process them, since this node has them no more. Of a request that failed nothing counts. */
  async #processItems(items: readonly Item[]): Promise<Uint8Array[] | undefined> {
    const { operation, dataId, version, handler, args, drop, onCopyFailure } = this.#job;
    try {
      const request = encodeProcessRequest({
        dataId,
        version,
        nodeId: this.link.nodeId,
        handler,
        args,
        shards: items.map(({ cut }) => cut.index),
        drop,
        deadlineMs: operation.remainingMs(),
      });
      return await this.#call(processMethod, request, []);
    } catch (thrown) {
      if (operation.hasFailed || !isCopyFailure(thrown)) throw thrown;
      const isLost = thrown.code === 'PAIPAI_ERR_NODE_LOST';
      const named = isLost ? [] : items.filter(({ cut }) => cut.index === thrown.shardIndex);
      const failed = named.length > 0 ? named : items;
      if (!isLost) for (const { cut } of named) onCopyFailure(cut, this.link.nodeId);
      if (!this.#handOver(failed)) throw thrown;
      this.#queue.unshift(...items.filter((item) => !failed.includes(item)));
      return undefined;
    }
  }

  /** Gives the items to other holders of their shards: all of them, or none. */
  #handOver(items: readonly Item[]): boolean {
    const takers = new Map<Item, NodeProcessing>();
    for (const item of items) {
      item.failedIds.add(this.link.nodeId);
      const taker = this.#job.takerOf(item.cut, item.failedIds);
      if (taker === undefined) return false;
      takers.set(item, taker);
    }
    for (const [item, taker] of takers) taker.#queue.push(item);
    for (const taker of new Set(takers.values())) taker.#pump();
    return true;
  }

  /** One stream: metadata and parts there, parts and a trailer back. */
  async #call(
    method: string,
    metadata: Uint8Array,
    parts: readonly Uint8Array[],
  ): Promise<Uint8Array[]> {
    const { operation } = this.#job;
    const { callWindow } = this.link;
    if (!(await callWindow.acquire(0, operation.signal))) throw operation.signal.reason;
    try {
      // Whoever failed meanwhile has reset the streams that there were.
      operation.throwIfFailed();
      return await this.#exchange(method, metadata, parts);
    } catch (thrown) {
      throw nodeError(this.link, thrown);
    } finally {
      callWindow.release(0);
    }
  }

  async #exchange(
    method: string,
    metadata: Uint8Array,
    parts: readonly Uint8Array[],
  ): Promise<Uint8Array[]> {
    const { operation } = this.#job;
    const stream = this.link.peer.openStream(method, metadata, {
      deadlineMs: operation.remainingMs(),
    });
    this.#streams.add(stream);
    try {
      const answer = readParts(stream);
      const sent = (async () => {
        for (const part of parts) await writePart(stream, part);
        stream.end();
      })();
      const [answered] = await Promise.all([answer, sent]);
      const { timeMs, merges } = decodeProcessTrailer(await stream.ended);
      this.timeMs += timeMs;
      this.merges = merges;
      return answered;
    } finally {
      this.#streams.delete(stream);
    }
  }
}
