import { isPaipaiError, PaipaiError, toError } from '../../base/errors.js';
import { nodeError } from '../../cluster/transfer/node-error.js';
import type { NodeLink } from '../../cluster/transfer/node-link.js';
import type { PeerStream } from '../../session/types.js';
import type { ClientJob } from './client-job.js';
import { EntryReader } from './entry-reader.js';
import { type JobNode, PhaseTime } from './job-node.js';
import { resultBytesMax, resultKeysMax } from './limits.js';
import {
  decodeReduceTrailer,
  encodePartitionRequest,
  fetchMethod,
  type ReduceTrailer,
  reduceMethod,
} from './messages.js';
import { SegmentReader } from './segment-reader.js';

/**
 * Has each partition reduced on one node. What other nodes have for it passes through here, from one stream into the other: a chunk is
 * taken when the one before it has left, so the reducer's disk holds back the mapper's. The results of a partition count when all of them are here.
 *
 *   mapper ══ fetch ══► client ══ reduce ══► reducer, with what it has itself
 *                       client ◄═ results ══ reducer
 */
export class ReducePhase {
  readonly time: PhaseTime;
  readonly shuffleTime: PhaseTime;
  readonly value: Map<string, unknown> = new Map();
  readonly #job: ClientJob;
  readonly #left: number[];
  readonly #onReduced: (partitions: number) => void;
  #reducedCount = 0;
  /** Also of partitions whose results are still coming. */
  #resultBytes = 0;
  #lostOne = false;
  retries = 0;

  constructor(job: ClientJob, onReduced: (partitions: number) => void) {
    this.#job = job;
    this.#left = Array.from({ length: job.partitions }, (_, partition) => partition);
    this.#onReduced = onReduced;
    this.time = new PhaseTime(job.env.clock);
    this.shuffleTime = new PhaseTime(job.env.clock);
  }

  /** Whether every partition has been reduced. */
  get isDone(): boolean {
    return this.#left.length === 0;
  }

  /**
   * Reduces what is left, until all is done or a node goes away; then the maps that were lost with it come first.
   * @param mappers the nodes with output that counts
   */
  async run(mappers: readonly JobNode[]): Promise<void> {
    this.#lostOne = false;
    await this.time.measure(async () => {
      this.#pump(mappers);
      await this.#job.crew.idle();
    });
  }

  #pump(mappers: readonly JobNode[]): void {
    const { nodes, crew } = this.#job;
    for (let isIdle = false; !isIdle && !crew.isStopping && !this.#lostOne; ) {
      isIdle = true;
      for (const node of nodes) {
        const partition = node.hasRoom ? this.#left.shift() : undefined;
        if (partition === undefined) continue;
        isIdle = false;
        this.#attempt(partition, node, mappers);
      }
    }
  }

  #attempt(partition: number, node: JobNode, mappers: readonly JobNode[]): void {
    node.underWay++;
    this.#job.crew.start(async () => {
      try {
        await this.#reduce(partition, node, mappers);
      } catch (thrown) {
        this.#left.push(partition);
        this.#onFailure(thrown);
      } finally {
        node.underWay--;
        this.#pump(mappers);
      }
    });
  }

  #onFailure(thrown: unknown): void {
    const { nodes, operation } = this.#job;
    if (operation.hasFailed || !isPaipaiError(thrown, 'PAIPAI_ERR_NODE_LOST')) throw thrown;
    this.retries++;
    this.#lostOne = true;
    for (const node of nodes) if (node.link.nodeId === thrown.nodeId) node.isLost = true;
  }

  async #reduce(partition: number, node: JobNode, mappers: readonly JobNode[]): Promise<void> {
    const { link } = node;
    const answer: Answer = { chunks: [], bytes: 0 };
    let trailer: ReduceTrailer;
    try {
      trailer = await this.#withStream(link, reduceMethod, partition, async (stream) => {
        const others = mappers.filter((mapper) => mapper !== node);
        const ways = [this.#feed(stream, node, partition, others), this.#take(stream, answer)];
        try {
          await Promise.all(ways);
        } catch (thrown) {
          // What one way has failed with, the other one stumbles over.
          stream.reset(toError(thrown));
          await Promise.allSettled(ways);
          throw thrown;
        }
        return decodeReduceTrailer(await stream.ended);
      });
    } catch (thrown) {
      this.#resultBytes -= answer.bytes;
      throw thrown;
    }
    this.#collect(answer);
    const { timeMs, inputBytes, spilledBytes } = trailer;
    node.reduce.add(inputBytes, timeMs);
    node.spilledBytes = Math.max(node.spilledBytes, spilledBytes);
    this.#onReduced(++this.#reducedCount);
  }

  /** Sends what other nodes have for the partition, one after the other; each begins with another one. */
  async #feed(
    target: PeerStream,
    node: JobNode,
    partition: number,
    mappers: readonly JobNode[],
  ): Promise<void> {
    const { operation } = this.#job;
    for (let turn = 0; turn < mappers.length; turn++) {
      const mapper = mappers[(partition + turn) % mappers.length];
      if (mapper === undefined) continue;
      let bytes = 0;
      const timeMs = await this.shuffleTime.measure(() =>
        this.#withStream(mapper.link, fetchMethod, partition, async (source) => {
          source.end();
          for await (const chunk of source) {
            bytes += chunk.byteLength;
            // Of a node that stands still the channel may hold on to the write when the operation has ended.
            await attributed(node.link, operation.race(target.write(chunk)));
          }
        }),
      );
      mapper.shuffle.add(bytes, timeMs);
    }
    target.end();
  }

  /** Takes the results in, as far as there is room for them. */
  async #take(stream: PeerStream, answer: Answer): Promise<void> {
    for await (const chunk of stream) {
      answer.chunks.push(chunk);
      answer.bytes += chunk.byteLength;
      this.#resultBytes += chunk.byteLength;
      if (this.#resultBytes > resultBytesMax) {
        throw tooLong(`${resultBytesMax} bytes`);
      }
    }
  }

  #collect({ chunks }: Answer): void {
    const segments = chunks.map((chunk) => ({ byteLength: chunk.byteLength, at: chunk }));
    const entries = new EntryReader(new SegmentReader(undefined, segments, 0));
    while (entries.next()) {
      this.value.set(entries.key, entries.value());
      if (this.value.size > resultKeysMax) throw tooLong(`${resultKeysMax} keys`);
    }
  }

  /** Opens a stream for a partition, has it worked with, and gives it up when that fails; the error names the node. */
  async #withStream<T>(
    link: NodeLink,
    method: string,
    partition: number,
    work: (stream: PeerStream) => Promise<T>,
  ): Promise<T> {
    const { operation, jobId } = this.#job;
    const window = method === fetchMethod ? link.relayWindow : link.callWindow;
    if (!(await window.acquire(0, operation.signal))) throw operation.signal.reason;
    try {
      operation.throwIfFailed();
      const stream = link.peer.openStream(method, encodePartitionRequest({ jobId, partition }), {
        deadlineMs: operation.remainingMs(),
        signal: operation.signal,
      });
      try {
        return await work(stream);
      } catch (thrown) {
        stream.reset(toError(thrown));
        throw thrown;
      }
    } catch (thrown) {
      throw named(link, thrown);
    } finally {
      window.release(0);
    }
  }
}

/** Results of one partition, as they came. */
interface Answer {
  readonly chunks: Uint8Array[];
  bytes: number;
}

/** A failure that names its node already keeps that name: of a stream into which another one runs, either may be what broke. */
function named(link: NodeLink, thrown: unknown): PaipaiError {
  return isPaipaiError(thrown) && thrown.nodeId !== undefined ? thrown : nodeError(link, thrown);
}

async function attributed<T>(link: NodeLink, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    throw nodeError(link, thrown);
  }
}

function tooLong(limit: string): PaipaiError {
  return new PaipaiError(
    'PAIPAI_ERR_HANDLER_RESULT',
    `the results are more than the ${limit} that one job may answer`,
  );
}
