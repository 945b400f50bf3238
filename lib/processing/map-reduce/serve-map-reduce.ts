import { PaipaiError } from '../../base/errors.js';
import type { IncomingRequest, Peer, PeerStream } from '../../session/types.js';
import type { ShardLease, ShardStore } from '../../store/store.js';
import { findHandler, leaseShards } from '../serve-processing.js';
import type { WorkerPool } from '../worker-pool.js';
import {
  closeMethod,
  decodeCloseRequest,
  decodeMapRequest,
  decodeOpenRequest,
  decodePartitionRequest,
  decodeSealRequest,
  encodeMapAnswer,
  encodeOpenAnswer,
  encodeReduceTrailer,
  fetchMethod,
  mapMethod,
  openMethod,
  type PartitionRequest,
  reduceMethod,
  sealMethod,
} from './messages.js';
import { jobClosed, NodeJob } from './node-job.js';
import { SegmentCollector } from './segment-collector.js';
import type { Segment, ShuffleSpace } from './shuffle-space.js';

/** Jobs that one client has open on a node. */
const jobsPerClientMax = 64;
/** Read of the file at once, on its way to the client. */
const pieceBytes = 256 * 1024;

const nothing = new Uint8Array(0);

const requestMethods: ReadonlySet<string> = new Set([
  openMethod,
  mapMethod,
  sealMethod,
  closeMethod,
]);

/** The node's side of MapReduce: the jobs of all clients. */
export class MapReduceService {
  readonly #pool: WorkerPool;
  readonly #jobs = new Map<Peer, Map<string, NodeJob>>();
  readonly #closing = new Set<Promise<void>>();

  constructor(pool: WorkerPool) {
    this.#pool = pool;
  }

  serves(method: string): boolean {
    return requestMethods.has(method);
  }

  servesStream(method: string): boolean {
    return method === fetchMethod || method === reduceMethod;
  }

  /** @param store of the client */
  async onRequest(request: IncomingRequest, store: ShardStore): Promise<Uint8Array> {
    const { peer, method, payload } = request;
    switch (method) {
      case openMethod:
        return this.#open(request);
      case mapMethod:
        return this.#map(request, store);
      case sealMethod: {
        const { jobId, tasks } = decodeSealRequest(payload);
        this.#jobOf(peer, jobId).seal(tasks);
        return nothing;
      }
      default:
        await this.#close(peer, decodeCloseRequest(payload));
        return nothing;
    }
  }

  async onStream(stream: PeerStream): Promise<void> {
    const request = decodePartitionRequest(stream.metadata);
    const job = this.#jobOf(stream.peer, request.jobId);
    await job.use(() =>
      stream.method === fetchMethod
        ? sendSegments(stream, job.space, job.segmentsOf(request.partition))
        : this.#reduce(stream, job, request),
    );
  }

  /** Ends the jobs of a client that is gone. */
  onClose(peer: Peer): void {
    for (const jobId of this.#jobs.get(peer)?.keys() ?? []) void this.#close(peer, jobId);
  }

  /** Ends all jobs; settles when nothing is left of them. */
  async close(): Promise<void> {
    for (const peer of [...this.#jobs.keys()]) this.onClose(peer);
    await Promise.all(this.#closing);
  }

  async #open({ peer, payload, signal }: IncomingRequest): Promise<Uint8Array> {
    const request = decodeOpenRequest(payload);
    const { map, combine, reduce } = request;
    for (const name of [map, combine, reduce]) {
      if (name !== undefined) await findHandler(this.#pool, name);
    }
    // The client may have gone, or given it up, while a worker loaded its module.
    if (peer.state === 'closed' || signal.aborted) throw jobClosed();
    const jobs = this.#jobs.get(peer) ?? new Map<string, NodeJob>();
    if (jobs.has(request.jobId)) {
      throw new PaipaiError('PAIPAI_ERR_PROTOCOL', `a job ${request.jobId} is open already`);
    }
    if (jobs.size >= jobsPerClientMax) {
      throw new PaipaiError('PAIPAI_ERR_OVERLOADED', `${jobsPerClientMax} jobs are open already`);
    }
    jobs.set(request.jobId, new NodeJob(request, this.#pool));
    this.#jobs.set(peer, jobs);
    return encodeOpenAnswer({ workers: this.#pool.size });
  }

  async #close(peer: Peer, jobId: string): Promise<void> {
    const jobs = this.#jobs.get(peer);
    const job = jobs?.get(jobId);
    if (jobs === undefined || job === undefined) return;
    jobs.delete(jobId);
    if (jobs.size === 0) this.#jobs.delete(peer);
    const closing = job.close();
    this.#closing.add(closing);
    await closing.finally(() => this.#closing.delete(closing));
  }

  #jobOf(peer: Peer, jobId: string): NodeJob {
    const job = this.#jobs.get(peer)?.get(jobId);
    if (job === undefined) throw jobClosed();
    return job;
  }

  async #map({ peer, payload, signal }: IncomingRequest, store: ShardStore): Promise<Uint8Array> {
    const { jobId, taskId, partitions, shards } = decodeMapRequest(payload);
    const job = this.#jobOf(peer, jobId);
    return job.use(async () => {
      const { request, space, tableBytesMax, seed } = job;
      const { dataId, version, nodeId, map, combine, args } = request;
      const leases = await leaseShards(store, { dataId, version, shards });
      const { runs, timeMs } = await job.run(
        {
          kind: 'map',
          handler: map,
          combine,
          dataId,
          nodeId,
          args,
          partitions,
          shards: leases.map(({ key, view }) => ({ index: key.index, bytes: view })),
          space: space.handle,
          tableBytesMax,
          seed,
        },
        signal,
        () => releaseAll(leases),
      );
      job.put(taskId, runs);
      const outputBytes = runs.reduce((sum, { segment }) => sum + segment.byteLength, 0);
      return encodeMapAnswer({ timeMs, outputBytes, spilledBytes: space.spilledBytes });
    });
  }

  async #reduce(stream: PeerStream, job: NodeJob, { partition }: PartitionRequest): Promise<void> {
    const { request, space, tableBytesMax, seed } = job;
    const { dataId, nodeId, reduce, combine, args } = request;
    const received = new SegmentCollector(space);
    let results: readonly Segment[] = [];
    try {
      for await (const chunk of stream) await received.add(chunk);
      const segments = [...job.segmentsOf(partition), ...(await received.finish())];
      const result = await job.run(
        {
          kind: 'reduce',
          handler: reduce,
          combine,
          dataId,
          nodeId,
          args,
          segments,
          space: space.handle,
          tableBytesMax,
          seed,
        },
        stream.signal,
      );
      results = result.segments;
      space.release(received.takeSegments());
      await sendSegments(
        stream,
        space,
        results,
        encodeReduceTrailer({
          timeMs: result.timeMs,
          inputBytes: segments.reduce((sum, { byteLength }) => sum + byteLength, 0),
          keys: result.keys,
          spilledBytes: space.spilledBytes,
        }),
      );
    } finally {
      space.release([...received.takeSegments(), ...results]);
    }
  }
}

function releaseAll(leases: readonly ShardLease[]): void {
  for (const lease of leases) lease.release();
}

/** Sends segments as they lie, then the end with `trailer`. */
async function sendSegments(
  stream: PeerStream,
  space: ShuffleSpace,
  segments: Iterable<Segment>,
  trailer?: Uint8Array,
): Promise<void> {
  for (const { at, byteLength } of segments) {
    if (typeof at !== 'number') {
      await stream.write(at);
      continue;
    }
    for (let start = 0; start < byteLength; start += pieceBytes) {
      const piece = new Uint8Array(Math.min(pieceBytes, byteLength - start));
      await space.readLater(piece, at + start);
      await stream.write(piece);
    }
  }
  stream.end(trailer);
}
