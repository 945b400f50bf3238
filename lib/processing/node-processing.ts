import { isPaipaiError, PaipaiError } from '../base/errors.js';
import { nodeError } from '../cluster/transfer/node-error.js';
import type { NodeLink } from '../cluster/transfer/node-link.js';
import type { Operation } from '../cluster/transfer/operation.js';
import type { ShardCut } from '../data/shard.js';
import type { PeerStream } from '../session/types.js';
import {
  decodeProcessTrailer,
  encodeMergeRequest,
  encodeProcessRequest,
  type JobLimit,
  mergeMethod,
  processMethod,
} from './messages.js';
import { readParts, writePart } from './part-stream.js';

/** What the nodes are asked in one call of `process`: the same for each. */
export interface ProcessingJob {
  readonly operation: Operation;
  readonly dataId: string;
  readonly version: bigint;
  /** Of the shard map that the caller knows; 0 without one. */
  readonly mapVersion: number;
  readonly handler: string;
  /** Encoded; undefined when the caller passed none. */
  readonly args: Uint8Array | undefined;
  /** Nodes give each shard back as soon as it is processed: for shards that lie on one node alone. */
  readonly drop: boolean;
  /** How many shards a node works on at once; undefined: as many as it has workers. */
  readonly limit: JobLimit | undefined;
  /** Another one that is there and can merge for one that is not. */
  readonly standIn: (gone: NodeProcessing) => NodeProcessing | undefined;
}

/** Merged parts that wait here before the node makes one of them. */
const partsMax = 32;

/** Has one node process shards that lie there, and gathers what came of them. Which ones, and when, is up to `Schedule`. */
export class NodeProcessing {
  readonly link: NodeLink;
  readonly #job: ProcessingJob;
  readonly #streams = new Set<PeerStream>();
  readonly #parts: Uint8Array[] = [];
  merges = false;
  shards = 0;
  bytes = 0;
  /** Milliseconds that handlers ran on the node for what it has told, summed over its workers. */
  timeMs = 0;

  constructor(link: NodeLink, job: ProcessingJob) {
    this.link = link;
    this.#job = job;
  }

  get isThere(): boolean {
    return this.link.peer.state === 'open';
  }

  /** Value parts so far: of a handler that merges few, of another one for each request or more. */
  get parts(): readonly Uint8Array[] {
    return this.#parts;
  }

  /** One request; what came of the shards, 1 to 1,024, counts when `keep` is told of it. `signal` gives it up. */
  request(cuts: readonly ShardCut[], signal: AbortSignal): Promise<Uint8Array[]> {
    const { operation, dataId, version, mapVersion, handler, args, drop, limit } = this.#job;
    const request = encodeProcessRequest({
      dataId,
      version,
      mapVersion,
      nodeId: this.link.nodeId,
      handler,
      args,
      shards: cuts.map(({ index }) => index),
      drop,
      limit,
      deadlineMs: operation.remainingMs(),
    });
    return this.#call(processMethod, request, [], signal);
  }

  /** Counts what a request has come to. */
  async keep(cuts: readonly ShardCut[], parts: readonly Uint8Array[]): Promise<void> {
    this.#parts.push(...parts);
    this.shards += cuts.length;
    for (const { bytes } of cuts) this.bytes += bytes;
    if (this.#parts.length >= partsMax) await this.fold();
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
      [part] = await this.#call(mergeMethod, request, parts, operation.signal);
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
  }

  /** One stream: metadata and parts there, parts and a trailer back. */
  async #call(
    method: string,
    metadata: Uint8Array,
    parts: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<Uint8Array[]> {
    const { operation } = this.#job;
    const { callWindow } = this.link;
    if (!(await callWindow.acquire(0, signal))) throw signal.reason;
    try {
      // Whoever failed meanwhile has reset the streams that there were.
      operation.throwIfFailed();
      if (signal.aborted) throw signal.reason;
      return await this.#exchange(method, metadata, parts, signal);
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
    signal: AbortSignal,
  ): Promise<Uint8Array[]> {
    const { operation } = this.#job;
    const stream = this.link.peer.openStream(method, metadata, {
      deadlineMs: operation.remainingMs(),
    });
    const onGivenUp = (): void => stream.reset(signal.reason);
    this.#streams.add(stream);
    signal.addEventListener('abort', onGivenUp, { once: true });
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
      signal.removeEventListener('abort', onGivenUp);
    }
  }
}
