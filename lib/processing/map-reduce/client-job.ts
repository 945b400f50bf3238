import type { Env } from '../../base/env.js';
import { isPaipaiError, type PaipaiError } from '../../base/errors.js';
import { nodeError } from '../../cluster/transfer/node-error.js';
import type { NodeLink } from '../../cluster/transfer/node-link.js';
import type { Operation } from '../../cluster/transfer/operation.js';
import type { PlacedShard } from '../../cluster/transfer/shard-map.js';
import { Crew, failureOf } from '../crew.js';
import { JobNode } from './job-node.js';
import {
  closeMethod,
  decodeOpenAnswer,
  encodeCloseRequest,
  encodeOpenRequest,
  type OpenRequest,
  openMethod,
} from './messages.js';
import { partitionsMax } from './partition.js';
import type { MapReduceProgress } from './report.js';

/** What a MapReduce is asked to do. */
export interface MapReduceCall {
  readonly env: Env;
  readonly operation: Operation;
  readonly dataId: string;
  readonly version: bigint;
  /** All shards of the data, with those who hold them. */
  readonly shards: readonly PlacedShard[];
  /** The nodes that are there; all of them reduce. */
  readonly links: readonly NodeLink[];
  readonly map: string;
  readonly combine: string | undefined;
  readonly reduce: string;
  /** Encoded. */
  readonly args: Uint8Array | undefined;
  /** Default: two for each worker of the nodes. */
  readonly partitions: number | undefined;
  readonly memoryBytes: number;
  /** Hears of a shard that a node does not have any more, or not whole. */
  readonly onCopyFailure: (shardIndex: number, nodeId: string) => void;
  readonly onProgress: (progress: MapReduceProgress) => void;
}

/** A node that does not answer cannot be tidied up; this is how long it is waited for. It ends the job by itself with the session. */
const closeMsMax = 1_000;
const partitionsPerWorker = 2;

/** One job, as its phases see it: the nodes that take part, and what is under way on them. */
export class ClientJob {
  readonly env: Env;
  readonly operation: Operation;
  readonly dataId: string;
  readonly shards: readonly PlacedShard[];
  readonly jobId: string;
  readonly crew: Crew;
  readonly #call: MapReduceCall;
  readonly #totalBytes: number;
  #nodes: readonly JobNode[] = [];

  constructor(call: MapReduceCall) {
    this.#call = call;
    this.env = call.env;
    this.operation = call.operation;
    this.dataId = call.dataId;
    this.shards = call.shards;
    this.jobId = Buffer.from(call.env.random.bytes(16)).toString('hex');
    this.crew = new Crew(call.env, call.operation);
    this.#totalBytes = call.shards.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Those that have opened the job, also when they went away since. */
  get nodes(): readonly JobNode[] {
    return this.#nodes;
  }

  get partitions(): number {
    const workers = this.#nodes.reduce((sum, node) => sum + node.workers, 0);
    return this.#call.partitions ?? Math.min(partitionsMax, partitionsPerWorker * workers);
  }

  /**
   * Opens the job on every node. One that goes away meanwhile is left out.
   * Fails: PAIPAI_ERR_HANDLER_UNKNOWN, _HANDLER_MODULE, _STORE_FAILED, _OVERLOADED of a node; PAIPAI_ERR_NODE_LOST when all went away.
   */
  async open(): Promise<void> {
    const { links, dataId, version, map, combine, reduce, args, memoryBytes } = this.#call;
    const failures: PaipaiError[] = [];
    const nodes: JobNode[] = [];
    const open = async (link: NodeLink): Promise<void> => {
      const { nodeId } = link;
      const request: OpenRequest = {
        jobId: this.jobId,
        dataId,
        version,
        nodeId,
        map,
        combine,
        reduce,
        args,
        memoryBytes,
      };
      try {
        const answer = await this.request(link, openMethod, encodeOpenRequest(request));
        nodes.push(new JobNode(link, decodeOpenAnswer(answer).workers));
      } catch (thrown) {
        failures.push(nodeError(link, thrown));
      }
    };
    await Promise.all(links.map(open));
    this.#nodes = nodes.sort((a, b) => links.indexOf(a.link) - links.indexOf(b.link));
    this.operation.throwIfFailed();
    const grave = failures.filter((error) => !isPaipaiError(error, 'PAIPAI_ERR_NODE_LOST'));
    const error = failureOf(grave) ?? (nodes.length === 0 ? failureOf(failures) : undefined);
    if (error !== undefined) throw error;
  }

  /** One request of the job; ends with the operation. */
  request(
    { peer }: NodeLink,
    method: string,
    payload: Uint8Array,
    signal: AbortSignal = this.operation.signal,
  ): Promise<Uint8Array> {
    return peer.request(method, payload, { deadlineMs: this.operation.remainingMs(), signal });
  }

  /** Marks nodes whose session is over, whoever noticed. */
  findLost(): void {
    for (const node of this.#nodes) if (node.link.peer.state !== 'open') node.isLost = true;
  }

  tellCopyFailure(shardIndex: number, nodeId: string): void {
    this.#call.onCopyFailure(shardIndex, nodeId);
  }

  tellProgress(phase: MapReduceProgress['phase'], counts: JobCounts): void {
    this.#call.onProgress({
      dataId: this.dataId,
      phase,
      totalBytes: this.#totalBytes,
      totalPartitions: this.partitions,
      ...counts,
    });
  }

  /** Ends the job on the nodes. One that is gone, or does not answer in time, has nothing that could be waited for. */
  async close(): Promise<void> {
    // Also where opening it failed: the answer may be what was lost.
    const living = this.#call.links.filter(({ peer }) => peer.state === 'open');
    await Promise.allSettled(
      living.map(({ peer }) =>
        peer.request(closeMethod, encodeCloseRequest(this.jobId), { deadlineMs: closeMsMax }),
      ),
    );
  }
}

/** For progress. */
export interface JobCounts {
  readonly bytes: number;
  readonly shards: number;
  readonly partitions: number;
}
